"""The group protocol that workers will use, and how long a dead one goes unnoticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.streams.kafka import GroupProtocol
from aiosv3.streams.kafka.protocol import decide

NAME = "group protocol"
_LONG_MS: Final = 15_000


async def check(case: Case) -> Sequence[Finding]:
    """The same decision as that of a worker that joins."""
    reached = await case.reached()
    if reached is None:
        return ()
    return [judged(decide(reached.facts.settings, case.settings.kafka.session_ms))]


def judged(chosen: GroupProtocol) -> Finding:
    """The protocol, why, and the time that a crash costs."""
    name = "KIP-848 (consumer)" if chosen.name == "consumer" else "classic"
    gone = f"a worker that is killed is noticed after {chosen.session_ms / 1000:g} s"
    said = f"{name}, {gone} ({chosen.reason})"
    if chosen.session_ms > _LONG_MS:
        return Finding.warning(
            NAME, said, "lower [kafka] session_ms, and the broker's least session where it is higher"
        )
    return Finding.ok(NAME, said)
