"""What appends in transactions promise, on the double and on Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aiosv3.streams.errors import AppendUnknown, Fenced, RecordTooLarge
from aiosv3.streams.log import Appended, Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract.conftest import World

    from aiosv3.streams.errors import AppendFailed
    from aiosv3.streams.log import Transactions

DEADLINE = 60.0


def numbered(topic: str, numbers: Sequence[int]) -> list[Outgoing]:
    return [Outgoing(topic, 0, None, str(number).encode(), []) for number in numbers]


async def told(writer: Transactions, records: Sequence[Outgoing]) -> list[Appended | AppendFailed]:
    """Appends without waiting in between; the outcomes in the order in which they came."""
    outcomes: list[Appended | AppendFailed] = []
    enough = asyncio.Event()

    def done(outcome: Appended | AppendFailed) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(records):
            enough.set()

    for record in records:
        writer.append(record, done)
    assert outcomes == [], "done is never called from inside append"
    async with asyncio.timeout(DEADLINE):
        await enough.wait()
    return outcomes


def offsets(outcomes: Sequence[Appended | AppendFailed]) -> list[int]:
    assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
    return [outcome.offset for outcome in outcomes if isinstance(outcome, Appended)]


async def read_all(world: World, topic: str, acknowledged: int = -1) -> list[tuple[int, bytes | None]]:
    """All that readers of committed records see, ``acknowledged`` too.

    A broker says that a transaction is committed before it has written that down in each partition, so that the end
    which it names right after may still be the one before.
    """
    end = max((await world.log.bounds(topic, 0)).end, acknowledged + 1)
    return [(record.offset, record.value) for record in await world.read(topic, 0, end)]


async def test_what_is_acknowledged_is_there_in_order(world: World) -> None:
    topic = world.topic("in-order")
    writer = await world.log.transactions(topic, 0)
    first = offsets(await told(writer, numbered(topic, range(50))))
    second = offsets(await told(writer, numbered(topic, range(50, 60))))
    assert first == sorted(set(first))
    assert second[0] > first[-1] + 1, "a transaction leaves a hole behind it"
    assert await read_all(world, topic, second[-1]) == [
        (offset, str(number).encode()) for number, offset in enumerate([*first, *second])
    ]


async def test_whoever_comes_later_fences_the_one_before(world: World) -> None:
    topic = world.topic("fenced")
    old = await world.log.transactions(topic, 0)
    offsets(await told(old, numbered(topic, [0])))
    new = await world.log.transactions(topic, 0)
    late = await told(old, numbered(topic, [1, 2]))
    assert [type(outcome) for outcome in late] == [Fenced, Fenced]
    assert [type(outcome) for outcome in await told(old, numbered(topic, [3]))] == [Fenced], "and for good"
    (last,) = offsets(await told(new, numbered(topic, [4])))
    assert [value for _, value in await read_all(world, topic, last)] == [b"0", b"4"]


async def test_a_partition_has_a_writer_of_its_own(world: World) -> None:
    topic = world.topic("partitions", 2)
    one, two = await world.log.transactions(topic, 0), await world.log.transactions(topic, 1)
    await told(one, [Outgoing(topic, 0, None, b"zero", [])])
    await told(two, [Outgoing(topic, 1, None, b"one", [])])
    assert [record.value for record in await world.read(topic, 0, 1)] == [b"zero"]
    assert [record.value for record in await world.read(topic, 0, 1, partition=1)] == [b"one"]


async def test_a_record_that_is_too_large_takes_no_other_with_it(world: World) -> None:
    topic = world.topic("large", max_bytes=2_000)
    writer = await world.log.transactions(topic, 0)
    large = Outgoing(topic, 0, None, b"x" * 5_000, [])
    (outcome,) = await told(writer, [large])
    assert isinstance(outcome, RecordTooLarge)
    (outcome,) = await told(writer, numbered(topic, [1]))
    if isinstance(outcome, AppendUnknown):  # librdkafka counts the refused record, and begins anew after one more
        (outcome,) = await told(writer, numbered(topic, [1]))
    assert isinstance(outcome, Appended)
    assert [value for _, value in await read_all(world, topic, outcome.offset)] == [b"1"]


async def test_closed_transactions_take_nothing(world: World) -> None:
    topic = world.topic("closed")
    writer = await world.log.transactions(topic, 0)
    writer.close()
    (outcome,) = await told(writer, numbered(topic, [1]))
    assert not isinstance(outcome, Appended)
    assert await read_all(world, topic) == []


@pytest.mark.parametrize("committed", [True, False])
async def test_the_next_writer_waits_for_no_transaction_of_the_last(world: World, *, committed: bool) -> None:
    """Whatever the last one had on its way: when the next one begins, it is there for good, or never will be."""
    topic = world.topic("succession")
    old = await world.log.transactions(topic, 0)
    outcomes: list[Appended | AppendFailed] = []
    for record in numbered(topic, range(20)):
        old.append(record, outcomes.append)
    if committed:
        async with asyncio.timeout(DEADLINE):
            while len(outcomes) < 20:
                await asyncio.sleep(0)
    new = await world.log.transactions(topic, 0)
    before = await read_all(world, topic)
    (last,) = offsets(await told(new, numbered(topic, [99])))
    assert await read_all(world, topic, last) == [*before, (last, b"99")]
