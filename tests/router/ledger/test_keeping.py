from __future__ import annotations

import pytest

from aiosv3.router.ledger import Booking, Books
from aiosv3.router.ledger.books import Place
from aiosv3.router.ledger.keeping import Keeper
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_budget
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog

HOUR = 3_600_000


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("ledger", 2)
    return broker


def keeper(broker: MemoryBroker) -> Keeper:
    return Keeper(MemoryLog(broker, Host("a")), Codec(SchemaStore()), "ledger", 1)


def busy() -> Books:
    books = Books(0, 0)
    books.read(3, Place(3, 0, Booking("a", "r", 60, 100, (), 1_000)))
    books.told(0, LedgerEntry(LedgerKind.SETTLEMENT, "a", tree_budget("r"), 50))
    books.read(4, Place(4, 1, Booking("b", "r", 20, 100, (), 1_000)))
    return books


async def test_what_was_kept_is_where_a_restore_begins(broker: MemoryBroker) -> None:
    await keeper(broker).run(busy(), 0)
    again = keeper(broker)
    states = await again.restore()
    assert again.kept == (5, 1)
    tree = Books(5, 1, states).agreed.tree("r")
    assert (tree.spent, tree.reserved, tree.limit) == (50, 20, 100)


async def test_nothing_new_is_not_written_again(broker: MemoryBroker) -> None:
    books, one = busy(), keeper(broker)
    await one.run(books, 0)
    count = len(broker.records("ledger"))
    await one.run(books, 0)
    assert len(broker.records("ledger")) == count == 2


async def test_a_tree_that_ended_leaves_a_tombstone(broker: MemoryBroker) -> None:
    books, one = busy(), keeper(broker)
    await one.run(books, 0)
    books.told(1, LedgerEntry(LedgerKind.SETTLEMENT, "b", tree_budget("r"), 5))
    books.read(5, Place(5, 2, Booking("c", "other", 1)))
    await one.run(books, 1_000 + HOUR + 1)
    assert [record.key for record in broker.records("ledger") if record.value is None] == [b"1/tree/r"]
    states = await keeper(broker).restore()
    assert [state.budget for state in states] == ["tree/other"]


async def test_an_empty_ledger_is_no_place(broker: MemoryBroker) -> None:
    one = keeper(broker)
    assert await one.restore() == []
    assert one.kept is None


@pytest.mark.parametrize("garbage", [b"noise", b"\0\x3b\x9a\xca\0of a schema that nobody has"])
async def test_what_nobody_can_read_is_passed_over(broker: MemoryBroker, garbage: bytes) -> None:
    await keeper(broker).run(busy(), 0)
    broker.append(Outgoing("ledger", 1, b"1/x", garbage, []))
    again = keeper(broker)
    assert [state.budget for state in await again.restore()] == ["tree/r"]
    assert again.kept == (5, 1)
