"""Shared budgets: whatever owners overlap, repeat, lose or come late with, no more is lent than there is."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.ledger import Booking, Books
from aiosv3.router.ledger.books import Place
from aiosv3.router.ledger.lending import Lending
from aiosv3.router.ledger.states import lender_state, state_of
from aiosv3.schemas.money import LedgerEntry, LedgerKind, LedgerState, tree_budget

BUDGET = "tenant/acme"
CAP = 100
PARTITIONS = 3
HOME = 0


class Owner:
    """One owner of a partition, with what it has read of the two logs. What it appends, it learns by reading."""

    def __init__(self, world: World, partition: int, books: Books | None = None) -> None:
        self.world = world
        self.partition = partition
        self.books = books or Books(0, 0)
        self.own, self.journal = self.books.folded, self.books.position
        self.wrote: set[int] = set()
        self.unsaid: deque[LedgerEntry] = deque()

    def read_journal(self, count: int) -> None:
        for entry in self.world.journals[self.partition][self.journal : self.journal + count]:
            self.unsaid.extend(self.books.told(self.journal, entry))
            self.journal += 1

    def read_own(self, count: int) -> None:
        log = self.world.owns[self.partition]
        for place in log[self.own : self.own + count]:
            first = all(place.booking.id != before.booking.id for before in log[: self.own])
            if place.offset in self.wrote and first:
                self.books.placed(place.offset, place.booking.root, place.booking.id)
            elif place.offset in self.wrote:
                self.books.read(place.offset, None)
            else:
                self.books.read(place.offset, place)
            self.own += 1

    def append(self, place: Place) -> None:
        log = self.world.owns[self.partition]
        self.wrote.add(len(log))
        log.append(place._replace(offset=len(log)))

    def decide(self, name: str, amount: int) -> None:
        booking = Booking(f"{self.partition}/{name}", f"r{self.partition}", amount, None, (BUDGET,))
        known = self.books.ahead.known(booking.root, booking.id)
        if not known and self.books.ahead.short(booking) is None:
            self.books.decided(booking)
            self.append(Place(-1, self.books.position, booking))

    def give(self, amount: int) -> None:
        if (place := self.books.returning(BUDGET, amount)) is not None:
            self.append(place)

    def entry(self, kind: LedgerKind, number: int, amount: int = 0, need: int = 0) -> LedgerEntry:
        lease = self.books.ahead.lease(BUDGET)
        return LedgerEntry(
            kind, f"{self.partition}/{number}", BUDGET, amount, partition=self.partition, number=number,
            need_usd_micros=need, limit_usd_micros=CAP, spent_usd_micros=lease.spent,
            reserved_usd_micros=lease.reserved, returned_usd_micros=self.books.agreed.lease(BUDGET).returned,
        )  # fmt: skip

    def ask(self, amount: int, need: int) -> None:
        number = self.books.ahead.lease(BUDGET).number + 1
        self.world.journals[HOME].append(self.entry(LedgerKind.LEASE_REQUEST, number, amount, need))

    def report(self) -> None:
        number = self.books.ahead.lease(BUDGET).number
        self.world.journals[HOME].append(self.entry(LedgerKind.LEASE_RETURN, number))

    def say(self, times: int) -> None:
        """Lost, once, or twice."""
        if self.unsaid:
            entry = self.unsaid.popleft()
            self.world.journals[entry.partition].extend([entry] * times)

    def restarted(self, kept: bool) -> Owner:
        """Somebody who restores: from the start, or from what the ledger had of this owner."""
        if not kept or not self.books.settled:
            return Owner(self.world, self.partition)
        place = self.books.folded, self.books.applied
        states: list[LedgerState | None] = [
            state_of(self.books.agreed, budget, self.partition, *place)
            for budget in (BUDGET, tree_budget(f"r{self.partition}"))
        ]
        states.append(lender_state(self.books.lending, BUDGET, self.partition, *place))
        return Owner(self.world, self.partition, Books(*place, [state for state in states if state is not None]))


class World:
    """The logs of all partitions, and two owners of each."""

    def __init__(self) -> None:
        self.owns: list[list[Place]] = [[] for _ in range(PARTITIONS)]
        self.journals: list[list[LedgerEntry]] = [[] for _ in range(PARTITIONS)]
        self.owners = [Owner(self, number % PARTITIONS) for number in range(2 * PARTITIONS)]
        self.granted = 0

    def act(self, act: str, who: int, *numbers: int) -> None:
        owner = self.owners[who]
        if act == "grant":
            self.granted += numbers[0]
            self.journals[HOME].append(LedgerEntry(LedgerKind.GRANT, f"g{numbers}", BUDGET, numbers[0]))
            self.journals[HOME].append(LedgerEntry(LedgerKind.GRANT, f"g{numbers}", BUDGET, numbers[0]))
        elif act == "settle":
            self.settle(owner.partition, *numbers)
        elif act == "read_up":
            owner.books.read_up()
        elif act == "restart":
            self.owners[who] = owner.restarted(bool(numbers[0] % 2))
        elif act == "turn":
            self.turn()
        elif act == "decide":
            owner.decide(str(numbers[0]), numbers[1])
        else:
            getattr(owner, act)(*numbers)

    def turn(self) -> None:
        """Nobody lags."""
        for owner in self.owners:
            owner.read_journal(10_000)
            owner.read_own(10_000)
            while owner.unsaid:
                owner.say(1)

    def settle(self, partition: int, name: int, share: int) -> None:
        """A call that was booked has cost a part of it; told twice."""
        tree = self.reader(partition).agreed.tree(f"r{partition}")
        booking = tree.open.get(f"{partition}/{name}")
        if booking is not None:
            cost = booking.amount * share // 10
            entry = LedgerEntry(LedgerKind.SETTLEMENT, booking.id, tree_budget(booking.root), cost, 1, 1)
            self.journals[partition] += [entry, entry]

    def reader(self, partition: int) -> Books:
        """Somebody who has read everything."""
        owner = Owner(self, partition)
        owner.read_journal(10_000)
        owner.read_own(10_000)
        owner.books.read_up()
        return owner.books

    def check(self) -> None:
        books = [self.reader(partition) for partition in range(PARTITIONS)]
        lender = books[HOME].lending.lender(BUDGET)
        assert lender.out <= CAP + self.granted
        taken = 0
        for partition, one in enumerate(books):
            lease, loan = one.agreed.lease(BUDGET), lender.loan(partition)
            assert lease.overrun == 0
            assert lease.spent + lease.reserved <= lease.total, "it spends only from its leases"
            assert one.ahead.lease(BUDGET).added <= loan.lent
            assert loan.returned <= lease.returned, "nothing comes back that may still be spent"
            taken += lease.spent + lease.reserved
        assert taken <= CAP + self.granted


WHO = st.integers(0, 2 * PARTITIONS - 1)
MONEY = st.integers(0, 60)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("read_journal"), WHO, st.integers(1, 5)),
        st.tuples(st.just("read_own"), WHO, st.integers(1, 5)),
        st.tuples(st.just("ask"), WHO, MONEY, MONEY),
        st.tuples(st.just("say"), WHO, st.integers(0, 2)),
        st.tuples(st.just("decide"), WHO, st.integers(0, 9), MONEY),
        st.tuples(st.just("settle"), WHO, st.integers(0, 9), st.integers(0, 10)),
        st.tuples(st.just("give"), WHO, st.integers(1, 40)),
        st.tuples(st.just("report"), WHO),
        st.tuples(st.just("grant"), WHO, st.integers(1, 20)),
        st.tuples(st.just("restart"), WHO, st.integers(0, 1)),
        st.tuples(st.just("turn"), WHO),
        st.tuples(st.just("read_up"), WHO),
    ),
    min_size=20,
    max_size=120,
)


@given(ACTS)
@settings(max_examples=150, deadline=None)
def test_no_more_is_lent_or_spent_than_there_is(acts: list[tuple[Any, ...]]) -> None:
    world = World()
    for act in acts:
        world.act(*act)
    world.check()
    for owner in world.owners:
        owner.read_journal(10_000)
        owner.read_own(10_000)
        other = world.reader(owner.partition)
        for one, two in ((owner.books.agreed, other.agreed), (owner.books.ahead, other.ahead)):
            mine, theirs = one.lease(BUDGET), two.lease(BUDGET)
            sums = (mine.spent, mine.reserved, mine.total, mine.number)
            assert sums == (theirs.spent, theirs.reserved, theirs.total, theirs.number)
        ours = owner.books
        assert ours.ahead.lease(BUDGET).returned == ours.agreed.lease(BUDGET).returned, "what was void is there again"
        assert owner.books.lending.lender(BUDGET) == other.lending.lender(BUDGET)


def request(partition: int, number: int, amount: int, need: int = 0, **said: int) -> LedgerEntry:
    limit = said.pop("limit_usd_micros", CAP)
    return LedgerEntry(
        LedgerKind.LEASE_REQUEST, f"{partition}/{number}", BUDGET, amount, partition=partition, number=number,
        need_usd_micros=need, limit_usd_micros=limit, **said,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def lending() -> Lending:
    return Lending()


def test_beyond_what_calls_wait_for_a_lease_is_a_part_of_what_is_left(lending: Lending) -> None:
    (lease,) = lending.apply(request(1, 1, 80))
    assert (lease.kind, lease.usd_micros, lease.partition, lease.number) == (LedgerKind.LEASE, 25, 1, 1)
    (lease,) = lending.apply(request(2, 1, 80, need=60))
    assert (lease.usd_micros, lease.limit_usd_micros) == (60, CAP)


def test_the_first_request_of_a_number_counts_and_is_answered_again(lending: Lending) -> None:
    (first,) = lending.apply(request(1, 1, 40, 40))
    (again,) = lending.apply(request(1, 1, 90, 90))
    assert (first.usd_micros, again.usd_micros, lending.lender(BUDGET).out) == (40, 40, 40)
    lending.apply(request(1, 2, 10, 10))
    assert lending.apply(request(1, 1, 40, 40)) == ()


def test_what_is_not_there_is_asked_back_from_those_who_have_something(lending: Lending) -> None:
    lending.apply(request(1, 1, 70, 70))
    lending.apply(request(2, 1, 20, 20))
    lending.apply(request(2, 2, 0, 0, spent_usd_micros=20))
    lease, recall = lending.apply(request(0, 1, 30, 30))
    assert (lease.usd_micros, lease.spent_usd_micros, lease.reserved_usd_micros) == (10, 20, 70)
    assert (recall.kind, recall.partition) == (LedgerKind.LEASE_RECALL, 1)
    lending.apply(LedgerEntry(LedgerKind.LEASE_RETURN, "1/1", BUDGET, 0, partition=1, number=1, returned_usd_micros=35))
    (lease,) = lending.apply(request(0, 2, 30, 20))
    assert lease.usd_micros == 20


def test_what_others_spent_beyond_their_leases_is_gone_and_the_own_excess_is_in_what_is_needed(
    lending: Lending,
) -> None:
    lending.apply(request(1, 1, 10, 10))
    lending.apply(request(1, 2, 0, 0, spent_usd_micros=70))
    (lease,) = lending.apply(request(2, 1, 40, 40))[:1]
    assert (lease.usd_micros, lease.spent_usd_micros) == (30, 70)
    (lease,) = lending.apply(request(0, 1, 5, 5))[:1]
    assert lease.usd_micros == 0
    (lease,) = lending.apply(request(1, 3, 65, 65, spent_usd_micros=70))[:1]
    assert lease.usd_micros == 60


def test_a_lease_that_never_got_there_is_sent_when_its_partition_says_how_it_stands(lending: Lending) -> None:
    lending.apply(request(1, 1, 40, 40))
    (lease,) = lending.apply(LedgerEntry(LedgerKind.LEASE_RETURN, "1/0", BUDGET, 0, partition=1))
    assert (lease.number, lease.usd_micros) == (1, 40)


def test_the_cap_is_that_of_the_newest_request_and_grants_are_beside(lending: Lending) -> None:
    lending.apply(request(1, 1, 80, 80))
    lending.apply(LedgerEntry(LedgerKind.GRANT, "g", BUDGET, 15))
    (lease,) = lending.apply(request(1, 2, 20, 20, limit_usd_micros=75))
    assert (lease.usd_micros, lease.limit_usd_micros) == (10, 90)
    lease = lending.apply(request(1, 3, 20, 20, limit_usd_micros=50))[0]
    assert (lease.usd_micros, lease.limit_usd_micros) == (0, 65)


def test_what_is_over_is_forgotten(lending: Lending) -> None:
    lending.apply(request(1, 1, 80))
    assert lending.forget(["tenant/other", BUDGET]) == [BUDGET]
    assert not lending.lenders
