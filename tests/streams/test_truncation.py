from __future__ import annotations

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import MemoryBroker, MemoryLog
from aiosv3.streams.truncation import JournalTruncation


def journal(records: int) -> tuple[MemoryLog, JournalTruncation]:
    broker = MemoryBroker()
    broker.create_topic("journal", 1)
    for _ in range(records):
        broker.append(Outgoing("journal", 0, None, b"x", []))
    log = MemoryLog(broker, "test")
    return log, JournalTruncation(log, "journal", 0, kept=3_600.0)


async def test_rule_11_only_below_the_base_of_an_old_commit() -> None:
    log, truncation = journal(10)
    truncation.committed(0.0, 3)
    truncation.committed(1_800.0, 7)
    await truncation.run(3_599.0)
    assert (await log.bounds("journal", 0)).start == 0
    await truncation.run(3_600.0)
    assert (await log.bounds("journal", 0)).start == 3
    await truncation.run(5_400.0)
    assert (await log.bounds("journal", 0)).start == 7


async def test_a_base_that_falls_back_deletes_nothing() -> None:
    log, truncation = journal(10)
    truncation.committed(0.0, 5)
    truncation.committed(1.0, 2)
    truncation.committed(2.0, -1)
    await truncation.run(10_000.0)
    assert (await log.bounds("journal", 0)).start == 5
    assert truncation.due(20_000.0) is None


async def test_a_failure_is_not_the_end() -> None:
    log, truncation = journal(10)

    async def fails(topic: str, partition: int, before: int) -> None:
        raise BrokerUnavailable(f"{topic}[{partition}] below {before}")

    works, log.truncate = log.truncate, fails  # type: ignore[method-assign]
    truncation.committed(0.0, 5)
    await truncation.run(3_600.0)
    log.truncate = works  # type: ignore[method-assign]
    truncation.committed(3_601.0, 6)
    await truncation.run(7_201.0)
    assert (await log.bounds("journal", 0)).start == 6
