"""Up to where the log is read for what was known at a time, or as of positions."""

from __future__ import annotations

import pytest

from aiosv3.memory.past import ends_of
from aiosv3.memory.recalling import AsOfPruned
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import MemoryBroker, MemoryLog


async def test_a_time_or_positions_say_where_the_past_ends() -> None:
    seconds = iter([1.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    now = 0.0
    broker = MemoryBroker(lambda: now)
    broker.create_topic("events", 3)
    for partition in (0, 0, 0, 1, 0, 1):
        now = next(seconds)
        broker.append(Outgoing("events", partition, b"key", b"event", []))
    log = MemoryLog(broker, "test")  # 0: four events of 1, 1, 1, 3 s; 1: two of 2, 4 s; 2: none
    assert await ends_of(log, "events", 3, 999) == {0: 0, 1: 0, 2: 0}
    assert await ends_of(log, "events", 3, 1_000) == {0: 3, 1: 0, 2: 0}
    assert await ends_of(log, "events", 3, 9_000) == {0: 4, 1: 2, 2: 0}
    # Of the same millisecond only the offset tells which came first.
    assert await ends_of(log, "events", 3, {0: 2, 1: 1}) == {0: 2, 1: 1, 2: 0}
    # What is not named is as of the time of the first event that was not known.
    assert await ends_of(log, "events", 3, {0: 3}) == {0: 3, 1: 1, 2: 0}
    assert await ends_of(log, "events", 3, {0: 99, 7: 3}) == {0: 4, 1: 2, 2: 0}
    await log.truncate("events", 0, 1)
    with pytest.raises(AsOfPruned, match="partition 0 of the memory log begins at offset 1") as raised:
        await ends_of(log, "events", 3, {0: 3})
    assert raised.value.base == 1_000
