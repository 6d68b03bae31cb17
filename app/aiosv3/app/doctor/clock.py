"""This machine's clock against the broker's: deadlines are made by one and kept by the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Final

from aiosv3.app.doctor.case import Case, Reached
from aiosv3.app.doctor.finding import Finding
from aiosv3.schemas.headers import CE_ID, CE_TYPE
from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.kafka import AppendSettings, KafkaLog, LogSettings
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import appended

NAME = "clock"
CLOCK_TYPE: Final = b"aiosv3.clock"
_NOTICED_MS: Final = 2_000
_WRONG_MS: Final = 60_000


async def check(case: Case) -> Sequence[Finding]:
    """The broker tells its time only on records: an empty one goes to ``deltas``, which is kept for minutes."""
    reached = await case.reached()
    if reached is None:
        return ()
    topic = case.topics.deltas()
    if topic not in await reached.overview.topics(topic):
        return [Finding.ok(NAME, f"not compared: workers have not made the topic {topic} yet")]
    settings = (await reached.overview.configs([topic]))[topic]
    if settings.get("message.timestamp.type") != "LogAppendTime":
        return [Finding.warning(NAME, f"not compared: {topic} does not have the broker's time", "start the workers")]
    try:
        before, broker, after = await _moments(case, reached, topic)
    except AppendFailed as error:
        return [Finding.warning(NAME, f"not compared: {error}", f"grant this user Write on {topic}")]
    return [judged(before, broker, after)]


async def _moments(case: Case, reached: Reached, topic: str) -> tuple[int, int, int]:
    patience = round(case.patience * 1000)
    async with KafkaLog(reached.connection, LogSettings(AppendSettings(delivery_timeout_ms=patience))) as log:
        first = Outgoing(topic, 0, None, None, [(CE_ID, str(uuid.uuid4()).encode()), (CE_TYPE, CLOCK_TYPE)])
        await appended(log, first)  # connects
        before = _now()
        stamped = await appended(log, first)
        return before, stamped.timestamp, _now()


def judged(before: int, broker: int, after: int) -> Finding:
    """The broker stamped its time between two moments of ours, all in milliseconds since the epoch."""
    off = broker - after if broker > after else min(0, broker - before)
    if abs(off) < _NOTICED_MS:
        return Finding.ok(NAME, f"within {max(abs(off), after - before)} ms of the broker's")
    ahead = "behind" if off > 0 else "ahead of"
    message = f"this machine is {abs(off) / 1000:.1f} s {ahead} the broker: deadlines end that much too early or late"
    action = "let both follow a time server (NTP)"
    if abs(off) < _WRONG_MS:
        return Finding.warning(NAME, message, action)
    return Finding.failed(NAME, message, action)


def _now() -> int:
    return time.time_ns() // 1_000_000
