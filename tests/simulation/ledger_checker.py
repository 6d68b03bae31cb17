"""Money under faults, read off the topics: what the two logs say together is what was paid, and no cap was passed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from simulated_mesh import PARTITIONS, POOLS

from aiosv3.router.ledger import Books
from aiosv3.router.ledger.reading import entry_of, place_of
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, LedgerKind, overruled_id, return_number, tree_budget
from aiosv3.schemas.records import Completion, Decision, DecisionOutcome
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Record
from aiosv3.streams.testing import Simulation


class Logged(Protocol):
    """A mesh whose topics can be read."""

    sim: Simulation
    topics: Topics
    codec: Codec


class LedgerChecker:
    """Folds the logs in a way of its own: plain sums over all that stands below a decision, no state kept.

    ``void``: requests whose decision did not fit at its place. ``returned``: what partitions gave back of shared
    budgets. ``caps``: of shared budgets.
    """

    def __init__(self, mesh: Logged, caps: dict[str, int] | None = None) -> None:
        self.mesh = mesh
        self.caps = caps or {}
        self.entries = {p: list(self._entries(p)) for p in range(PARTITIONS)}
        self.completions = list(self._completions())
        self.routed: dict[str, Decision] = {}
        self.void: set[str] = set()
        self.returned: dict[tuple[int, str], int] = defaultdict(int)
        for partition in range(PARTITIONS):
            self._fold(partition)

    def violations(self) -> Iterator[tuple[str, str]]:
        yield from self._forwarded()
        yield from self._within_caps()
        yield from self._within_leases()
        yield from self._reconciled()
        yield from self._as_the_router_says()

    def settled(self) -> bool:
        """Every completion has its settlement, and nothing is reserved any more."""
        over = {entry.id for _, entry in self._settlements()}
        return not list(self._reconciled()) and over >= self.routed.keys()

    def _records(self, topic: str, partition: int | None = None) -> Iterator[Record]:
        return (record for record in self.mesh.sim.broker.records(topic, partition) if record.value is not None)

    def _entries(self, partition: int) -> Iterator[tuple[int, LedgerEntry]]:
        for record in self._records(self.mesh.topics.router_journal(), partition):
            yield record.offset, self.mesh.codec.decode_as(LedgerEntry, record.value or b"")

    def _completions(self) -> Iterator[Completion]:
        for pool in POOLS:
            for record in self._records(self.mesh.topics.completions(pool)):
                yield self.mesh.codec.decode_as(Completion, record.value or b"")

    def _settlements(self) -> Iterator[tuple[int, LedgerEntry]]:
        for partition, entries in self.entries.items():
            yield from ((partition, entry) for _, entry in entries if entry.kind is LedgerKind.SETTLEMENT)

    # -- the fold -------------------------------------------------------------------------------------------------

    def _fold(self, partition: int) -> None:
        """Rule 26, decision by decision: booked are those before it that fitted and are not settled at its place."""
        booked: dict[str, Decision] = {}
        seen: set[str] = set()
        position = 0
        for record in self._records(self.mesh.topics.decisions(), partition):
            name = (record.header("ce_id") or b"").decode()
            if name in seen:
                continue
            seen.add(name)
            decision = self.mesh.codec.decode_as(Decision, record.value or b"")
            gives = return_number(name) > 0
            if decision.outcome is not DecisionOutcome.ROUTED and not gives:
                continue
            position = max(position, decision.ledger_position)
            fits = self._fits(partition, position, decision, booked, gives=gives)
            if gives:
                self.returned[partition, decision.budgets[0]] += decision.reserved_usd_micros if fits else 0
            elif not fits:
                self.void.add(name)
            else:
                booked[name] = self.routed[name] = decision

    def _fits(
        self, partition: int, position: int, decision: Decision, booked: dict[str, Decision], *, gives: bool
    ) -> bool:
        amount = decision.reserved_usd_micros
        if not amount:
            return not gives
        costs = self._costs(partition, position)
        if not gives and decision.cap_usd_micros is not None:
            tree = {name: one for name, one in booked.items() if one.root_id == decision.root_id}
            if _taken(tree, costs) + amount > decision.cap_usd_micros:
                return False
        for budget in decision.budgets:
            share = {name: one for name, one in booked.items() if budget in one.budgets}
            lent = self._lent(partition, budget, position) - self.returned[partition, budget]
            if _taken(share, costs) + amount > lent:
                return False
        return True

    def _costs(self, partition: int, position: int) -> dict[tuple[str, int], int]:
        return {
            (entry.id, entry.epoch): entry.usd_micros
            for offset, entry in self.entries[partition]
            if entry.kind is LedgerKind.SETTLEMENT and offset < position
        }

    def _lent(self, partition: int, budget: str, position: int | None = None) -> int:
        """Each lease once, by its number."""
        leases = {
            entry.number: entry.usd_micros
            for offset, entry in reversed(self.entries[partition])
            if entry.kind is LedgerKind.LEASE and entry.budget == budget and (position is None or offset < position)
        }
        return sum(leases.values())

    # -- what must hold -------------------------------------------------------------------------------------------

    def _forwarded(self) -> Iterator[tuple[str, str]]:
        """What did not fit at its place goes to no pool, and its asker is told by a record that lasts."""
        sent = {
            (record.header("ce_id") or b"").decode()
            for pool in POOLS
            for record in self._records(self.mesh.topics.pool_prompts(pool))
        }
        for name in sorted(sent - self.routed.keys()):
            yield "money", f"{name} was forwarded, though no decision that fits its budget says so"
        told = {r.header("ce_id") for r in self.mesh.sim.broker.records(self.mesh.topics.decisions())}
        for name in sorted(self.void):
            if overruled_id(name).encode() not in told:
                yield "money", f"{name} did not fit at its place, and no refusal says so"

    def _within_caps(self) -> Iterator[tuple[str, str]]:
        """Answers cost what was reserved at most, so that no budget passes its cap; calls paid twice are beside it."""
        caps = {tree_budget(d.root_id): d.cap_usd_micros for d in self.routed.values() if d.cap_usd_micros is not None}
        caps |= self.caps
        spent: dict[str, int] = defaultdict(int)
        firsts: set[str] = set()
        for completion in self.completions:
            decision = self.routed.get(completion.request_id)
            if completion.request_id not in firsts and decision is not None:
                firsts.add(completion.request_id)
                for budget in (tree_budget(completion.root_id), *decision.budgets):
                    spent[budget] += completion.usage.cost_usd_micros
        for budget, cap in caps.items():
            if spent[budget] > cap:
                yield "money", f"the budget {budget} has spent {spent[budget]} of {cap} micro-dollars"

    def _within_leases(self) -> Iterator[tuple[str, str]]:
        """What is lent to all partitions and was not given back is never more than the cap."""
        for budget, cap in self.caps.items():
            parts = range(PARTITIONS)
            lent = sum(self._lent(partition, budget) - self.returned[partition, budget] for partition in parts)
            if lent > cap:
                yield "money", f"of {budget}, {lent} of {cap} micro-dollars are lent"

    def _reconciled(self) -> Iterator[tuple[str, str]]:
        """To the micro-dollar: each completion is settled with its cost, and nothing else is but what cost nothing."""
        paid = {(c.request_id, c.epoch): c.usage.cost_usd_micros for c in self.completions}
        booked = {(e.id, e.epoch): e.usd_micros for _, e in self._settlements()}
        for key in sorted(paid.keys() | {key for key, cost in booked.items() if cost}):
            if paid.get(key) != booked.get(key):
                yield "ledger", f"{key}: completions say {paid.get(key)}, settlements {booked.get(key)}"

    def _as_the_router_says(self) -> Iterator[tuple[str, str]]:
        """The production fold over the whole of both logs comes to the same sums."""
        for partition in range(PARTITIONS):
            books = Books(0, 0)
            for record in self.mesh.sim.broker.records(self.mesh.topics.router_journal(), partition):
                books.told(record.offset, entry_of(self.mesh.codec, record))
            for record in self.mesh.sim.broker.records(self.mesh.topics.decisions(), partition):
                books.read(record.offset, place_of(self.mesh.codec, record))
            books.read_up()
            costs = self._costs(partition, 2**62)
            for budget, lease in books.ahead.shared.items():
                mine = {name for name, decision in self.routed.items() if budget in decision.budgets}
                spent = sum(cost for (name, _), cost in costs.items() if name in mine)
                total = self._lent(partition, budget) - self.returned[partition, budget]
                if (lease.spent, lease.total) != (spent, total):
                    said = f"spent {lease.spent} of {lease.total}"
                    yield "ledger", f"{budget}[{partition}]: the router says {said}, the logs {spent} of {total}"
                if lease.reserved:
                    yield "ledger", f"{budget}[{partition}]: {lease.reserved} stay reserved"


def _taken(booked: dict[str, Decision], costs: dict[tuple[str, int], int]) -> int:
    """What these have cost, and what is reserved for those that are not over."""
    over = {name for name, _ in costs}
    spent = sum(cost for (name, _), cost in costs.items() if name in booked)
    return spent + sum(one.reserved_usd_micros for name, one in booked.items() if name not in over)
