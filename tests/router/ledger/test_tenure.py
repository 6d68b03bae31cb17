from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from aiosv3.router.ledger import Books, Cap, Caps, Cashier, RouterTenure, keeping_books, read_books
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.money import LedgerEntry, LedgerKind, LedgerState, tree_budget
from aiosv3.schemas.records import Decision, DecisionOutcome, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Phase, Wiring
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog, MemoryMember

NOW = 1_750_000_000_000
CAP = 100
T = Topics()
ASKER = T.journal("asker")


class Stage:
    """Routers on a broker in memory, one partition; a call costs a micro-dollar for each of its tokens."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(lambda: NOW / 1000)
        self.codec = Codec(SchemaStore())
        self.pool = Pool("cloud", "openai", "m", Clearance.PUBLIC, Price(1_000_000, 0))
        self.processors: list[Processor] = []
        self.routers: list[Router] = []
        for topic in (T.prompts(), T.decisions(), T.router_journal(), T.ledger(), T.pool_prompts("cloud"), ASKER):
            self.broker.create_topic(topic, 1)
        self.broker.create_topic(T.dead_letters(), 1)

    async def router(
        self, name: str, *, patience: float = 0.05, keep_every: float = 3_600.0, tenant: int | None = None
    ) -> Processor:
        log = MemoryLog(self.broker, Host(name))
        member = MemoryMember(self.broker, log, "router", T.prompts(), T.router_journal())
        metrics = MetricsCatalogue().processor(name)
        wiring = Wiring(
            name, T.prompts(), T.decisions(), T.router_journal(), log, member, lambda: NOW, metrics, marks_own=True
        )
        caps = Caps({} if tenant is None else {"t": Cap(tenant)}, {}, lambda: NOW)
        router = Router(T, self.codec, [self.pool], PoolTable(), lambda: NOW, Cashier(patience, caps))
        self.routers.append(router)
        tenures = keeping_books(wiring, router, self.codec, 50, T, keep_every)
        processor = Processor(wiring, tenures, commit_every=0.02)
        self.processors.append(processor)
        await processor.start()
        await self.until(lambda: bool(processor.tenures) and processor.tenures[0].may_commit())
        return processor

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    def ask(self, name: str, tokens: int, cap: int | None = CAP) -> None:
        headers = [
            ("ce_id", name.encode()),
            (GRANT, Grant("t", "r", Clearance.PUBLIC, cap=cap).encode()),
            (ROUTE, Route(None, 0.5, tokens, 0, first_sent=NOW, hash="h").encode()),
            (REPLY, Reply(ASKER, 0, 0, "r", name, "t").encode()),
        ]
        self.broker.append(Outgoing(T.prompts(), 0, b"r", b"untouched", headers))

    def settle(self, name: str, cost: int) -> None:
        entry = LedgerEntry(LedgerKind.SETTLEMENT, name, tree_budget("r"), cost, 1, 0)
        self.broker.append(Outgoing(T.router_journal(), 0, b"r", self.codec.encode(entry), []))

    def foreign(self, name: str, amount: int) -> None:
        """A decision by somebody who owned the partition before."""
        outcome = DecisionOutcome.ROUTED
        decision = Decision(
            name, "r", "r", 1, 0, 0, "h", NOW, None, outcome, "cloud", "m", "", (), "1", "1", 0, amount,
            cap_usd_micros=CAP,
        )  # fmt: skip
        headers = [("ce_id", name.encode()), ("ce_source", b"aios.prompts/0/0")]
        self.broker.append(Outgoing(T.decisions(), 0, None, self.codec.encode(decision), headers))

    def entries(self, kind: LedgerKind) -> list[LedgerEntry]:
        found = [self.codec.decode_as(LedgerEntry, r.value or b"") for r in self.broker.records(T.router_journal())]
        return [entry for entry in found if entry.kind is kind]

    async def books(self) -> Books:
        return await read_books(MemoryLog(self.broker, Host("reader")), self.codec, T, 0)

    def decisions(self) -> dict[str, Decision]:
        return {
            (record.header("ce_id") or b"").decode(): self.codec.decode_as(Decision, record.value)
            for record in self.broker.records(T.decisions())
            if record.value is not None
        }

    def forwarded(self) -> list[str]:
        return [(r.header("ce_id") or b"").decode() for r in self.broker.records(T.pool_prompts("cloud"))]

    def answers(self) -> list[JournalRecord]:
        return [self.codec.decode_as(JournalRecord, record.value or b"") for record in self.broker.records(ASKER)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    for processor in made.processors:
        await processor.drain(0)


async def test_what_fits_is_forwarded_and_what_does_not_is_refused_by_the_name_of_its_budget(stage: Stage) -> None:
    await stage.router("a")
    stage.ask("one", 60)
    stage.ask("two", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    assert stage.forwarded() == ["one"]
    error = stage.answers()[0].error
    assert error is not None
    assert (error.type, error.retryable) == ("BudgetExceeded", False)
    assert "tree/r" in error.message
    assert "aiosv3 budget grant tree/r" in error.message
    assert stage.decisions()["one"].reserved_usd_micros == 60


async def test_a_call_waits_for_what_another_gives_back(stage: Stage) -> None:
    await stage.router("a", patience=15)
    stage.ask("one", 60)
    stage.ask("two", 60)
    await stage.until(lambda: stage.forwarded() == ["one"])
    stage.settle("one", 10)
    await stage.until(lambda: stage.forwarded() == ["one", "two"])
    assert stage.decisions()["two"].ledger_position == 1


async def test_without_a_cap_nothing_is_refused(stage: Stage) -> None:
    await stage.router("a")
    for number in range(5):
        stage.ask(f"q{number}", 1_000, cap=None)
    await stage.until(lambda: len(stage.forwarded()) == 5)


async def test_rule_26_a_decision_that_does_not_fit_at_its_place_is_refused_by_a_record_of_its_own(
    stage: Stage,
) -> None:
    await stage.router("a")
    stage.foreign("late", 60)
    stage.ask("mine", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    found = stage.decisions()
    assert found["mine"].outcome is DecisionOutcome.ROUTED
    assert found["mine!over"].outcome is DecisionOutcome.REFUSED
    assert stage.forwarded() == []
    assert stage.answers()[0].outcome is Outcome.FAILED


async def test_rule_26_whoever_comes_next_says_the_same(stage: Stage) -> None:
    first = await stage.router("a")
    stage.foreign("late", 60)
    stage.ask("mine", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    await first.drain(0)
    await stage.router("b")
    stage.ask("mine", 60)
    await stage.until(lambda: len(stage.answers()) == 2)
    assert stage.forwarded() == []
    assert len(stage.decisions()) == 3


async def test_a_new_owner_decides_only_by_all_that_was_settled(stage: Stage) -> None:
    first = await stage.router("a")
    stage.ask("one", 60)
    await stage.until(lambda: stage.forwarded() == ["one"])
    await first.drain(0)
    stage.settle("one", 10)
    stage.ask("two", 90)
    await stage.router("b", patience=0)
    await stage.until(lambda: len(stage.forwarded()) == 2)
    assert stage.decisions()["two"].ledger_position == 1


async def test_the_ledger_is_kept_and_a_restore_begins_there(stage: Stage) -> None:
    first = await stage.router("a", keep_every=0.01)
    stage.ask("one", 60)
    await stage.until(lambda: stage.forwarded() == ["one"])
    stage.settle("one", 50)
    stage.ask("two", 30)
    await stage.until(lambda: len(stage.forwarded()) == 2)

    def kept() -> list[LedgerState]:
        records = stage.broker.records(T.ledger())
        return [stage.codec.decode_as(LedgerState, record.value or b"") for record in records]

    await stage.until(lambda: any(not state.budget and state.journal_position == 1 for state in kept()))
    tenure = first.tenures[0]
    assert isinstance(tenure, RouterTenure)
    assert tenure.journal_floor(()) == 1
    await first.drain(0)
    stage.broker.truncate(T.router_journal(), 0, 1)
    await stage.router("b", patience=0)
    stage.ask("three", 21)
    await stage.until(lambda: len(stage.answers()) == 1)
    tree = (await stage.books()).ahead.tree("r")
    assert (tree.spent, tree.reserved, tree.total) == (50, 30, CAP)


async def test_a_commit_of_a_router_without_a_ledger_is_taken_over(stage: Stage) -> None:
    """Its commits say -1 of the journal: everything is read."""
    group = stage.broker.group("router", T.prompts())
    stage.settle("old", 70)
    group.committed[T.prompts(), 0] = Commit(base=0, epoch=0, own=0, journal=-1).encode()
    await stage.router("a", patience=0)
    stage.ask("one", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    assert stage.forwarded() == []


async def test_a_call_is_paid_from_a_lease_of_its_tenant_s_budget(stage: Stage) -> None:
    await stage.router("a", patience=20, tenant=100)
    stage.ask("one", 60, cap=None)
    await stage.until(lambda: stage.forwarded() == ["one"])
    assert stage.decisions()["one"].budgets == ("tenant/t",)
    (lease,) = stage.entries(LedgerKind.LEASE)
    assert (lease.budget, lease.partition, lease.number, lease.limit_usd_micros) == ("tenant/t", 0, 1, 100)
    stage.ask("two", 41, cap=None)
    stage.settle("one", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    error = stage.answers()[0].error
    assert error is not None
    assert error.type == "BudgetExceeded"
    assert error.message == (
        "budget tenant/t: 0.000060 of 0.000100 US dollars are spent and 0.000000 reserved for calls at work; "
        "this call may cost 0.000041. More: aiosv3 budget grant tenant/t USD"
    )
    assert stage.routers[0].cashier.tally.refusals == {"tenant": 1}


async def test_a_grant_raises_the_cap_of_a_tenant(stage: Stage) -> None:
    await stage.router("a", patience=20, tenant=50)
    grant = LedgerEntry(LedgerKind.GRANT, "g", "tenant/t", 10)
    for _ in range(2):
        stage.broker.append(Outgoing(T.router_journal(), 0, b"tenant/t", stage.codec.encode(grant), []))
    stage.ask("one", 61, cap=None)
    stage.ask("two", 60, cap=None)
    await stage.until(lambda: stage.forwarded() == ["two"] and len(stage.answers()) == 1)


async def test_money_goes_back_by_a_record_among_the_decisions(stage: Stage) -> None:
    first = await stage.router("a", patience=20, tenant=1_000)
    stage.ask("one", 60, cap=None)
    await stage.until(lambda: stage.forwarded() == ["one"])
    await first.drain(0)
    await stage.router("b", patience=20, tenant=1_000)
    recall = LedgerEntry(LedgerKind.LEASE_RECALL, "x", "tenant/t", 0, partition=0)
    stage.broker.append(Outgoing(T.router_journal(), 0, None, stage.codec.encode(recall), []))
    await stage.until(lambda: bool(stage.entries(LedgerKind.LEASE_RETURN)))
    (said,) = stage.entries(LedgerKind.LEASE_RETURN)
    books = await stage.books()
    lease, lender = books.agreed.lease("tenant/t"), books.lending.lender("tenant/t")
    assert (lease.reserved, lease.free, said.returned_usd_micros) == (60, 0, lease.returned)
    assert lender.out == 60
    stage.ask("two", 40, cap=None)
    await stage.until(lambda: stage.forwarded() == ["one", "two"])


async def test_what_is_refused_at_its_forward_is_not_reserved_any_more(stage: Stage) -> None:
    await stage.router("a")
    stage.routers[0].outlook.may_see = lambda *_: False  # type: ignore[method-assign]
    stage.ask("one", 60)
    await stage.until(lambda: len(stage.answers()) == 1)
    (entry,) = stage.entries(LedgerKind.SETTLEMENT)
    assert (entry.id, entry.usd_micros, entry.epoch) == ("one", 0, -1)
    tree = (await stage.books()).ahead.tree("r")
    assert (tree.reserved, tree.spent) == (0, 0)
    stage.ask("one", 60)
    await stage.until(lambda: len(stage.answers()) == 2)
    assert len(stage.entries(LedgerKind.SETTLEMENT)) == 1


async def test_what_cannot_be_forwarded_at_all_is_not_reserved_any_more(stage: Stage) -> None:
    stage.pool = replace(stage.pool, name="gone")
    await stage.router("a")
    stage.ask("one", 60)
    await stage.until(lambda: bool(stage.broker.records(T.dead_letters())))
    assert [entry.usd_micros for entry in stage.entries(LedgerKind.SETTLEMENT)] == [0]
    assert (await stage.books()).ahead.tree("r").reserved == 0


async def test_many_that_are_short_ask_nobody_twice_at_once(stage: Stage) -> None:
    """Two other partitions hold the money of a budget whose own partition this is."""
    await stage.router("a", tenant=100)

    def ask(partition: int, number: int, need: int) -> None:
        entry = LedgerEntry(
            LedgerKind.LEASE_REQUEST, f"{partition}/{number}", "tenant/x", need, partition=partition, number=number,
            need_usd_micros=need, limit_usd_micros=100,
        )  # fmt: skip
        stage.broker.append(Outgoing(T.router_journal(), 0, b"tenant/x", stage.codec.encode(entry), []))

    ask(0, 1, 100)
    for number in range(1, 20):
        ask(0, number + 1, 0)
        ask(1, number, 10)
    books = await stage.books()
    await stage.until(lambda: len(stage.entries(LedgerKind.LEASE)) >= 20)
    assert books.lending.lender("tenant/x").out == 100
    assert len(stage.entries(LedgerKind.LEASE_RECALL)) == 1


NOBODYS = b"\0\x3b\x9a\xca\0of a schema that nobody has"


@pytest.mark.parametrize("garbage", [b"noise", NOBODYS])
@pytest.mark.parametrize("topic", [T.router_journal(), T.decisions()])
async def test_garbage_on_its_logs_stops_no_router_wherever_it_is(stage: Stage, topic: str, garbage: bytes) -> None:
    """As the first record and as the last one, which a restore must get past to begin."""
    headers = [("ce_id", b"x"), ("ce_source", b"aios.prompts/0/0")]
    stage.broker.append(Outgoing(topic, 0, None, garbage, headers))
    stage.settle("other", 1)
    stage.broker.append(Outgoing(topic, 0, None, garbage, headers))
    await stage.router("a")
    stage.ask("one", 60)
    await stage.until(lambda: stage.forwarded() == ["one"])
    stage.broker.append(Outgoing(topic, 0, None, garbage, headers))
    stage.ask("two", 30)
    await stage.until(lambda: stage.forwarded() == ["one", "two"])
    assert (await stage.books()).agreed.tree("r").open.keys() == {"one", "two"}


async def test_a_record_of_a_later_router_stops_the_partition_in_words(stage: Stage) -> None:
    """It says that it is the router's and may be about money: nothing is decided without it."""
    headers = [("ce_id", b"x"), ("ce_source", b"aios.prompts/0/0"), ("ce_type", b"aiosv3.decision")]
    processor = await stage.router("a")
    stage.broker.append(Outgoing(T.decisions(), 0, None, NOBODYS, headers))
    stage.ask("one", 60)
    await stage.until(lambda: processor.tenures[0].phase is Phase.STOPPED)
    assert "schema 1000000000" in processor.tenures[0].reason
