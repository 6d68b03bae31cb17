"""Money under faults, read off the topics: what the two logs say together is what was paid, and no cap was passed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from simulated_mesh import PARTITIONS, POOLS

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, overruled_id, tree_budget
from aiosv3.schemas.records import Completion, Decision, DecisionOutcome
from aiosv3.schemas.topics import Topics
from aiosv3.streams.testing import Simulation


class Logged(Protocol):
    """A mesh whose topics can be read."""

    sim: Simulation
    topics: Topics
    codec: Codec


class LedgerChecker:
    """Folds the logs in a way of its own: plain sums over all that stands below a decision, no state kept.

    ``void``: requests whose decision did not fit at its place.
    """

    def __init__(self, mesh: Logged) -> None:
        self.mesh = mesh
        self.entries = {p: list(self._entries(p)) for p in range(PARTITIONS)}
        self.completions = list(self._completions())
        self.routed: dict[str, Decision] = {}
        self.void: set[str] = set()
        for partition in range(PARTITIONS):
            self._fold(partition)

    def violations(self) -> Iterator[tuple[str, str]]:
        yield from self._forwarded()
        yield from self._within_caps()
        yield from self._reconciled()

    def settled(self) -> bool:
        """Every completion has its settlement."""
        return not list(self._reconciled())

    def _entries(self, partition: int) -> Iterator[tuple[int, LedgerEntry]]:
        for record in self.mesh.sim.broker.records(self.mesh.topics.router_journal(), partition):
            if record.value is not None:
                yield record.offset, self.mesh.codec.decode_as(LedgerEntry, record.value)

    def _completions(self) -> Iterator[Completion]:
        for pool in POOLS:
            for record in self.mesh.sim.broker.records(self.mesh.topics.completions(pool)):
                if record.value is not None:
                    yield self.mesh.codec.decode_as(Completion, record.value)

    def _fold(self, partition: int) -> None:
        """Rule 26, decision by decision: booked are those before it that fitted and are not settled at its place."""
        booked: dict[str, Decision] = {}
        seen: set[str] = set()
        position = 0
        for record in self.mesh.sim.broker.records(self.mesh.topics.decisions(), partition):
            name = (record.header("ce_id") or b"").decode()
            if record.value is None or name in seen:
                continue
            seen.add(name)
            decision = self.mesh.codec.decode_as(Decision, record.value)
            if decision.outcome is not DecisionOutcome.ROUTED:
                continue
            position = max(position, decision.ledger_position)
            costs = self._costs(partition, decision.root_id, position)
            open_money = sum(
                other.reserved_usd_micros
                for other in booked.values()
                if other.root_id == decision.root_id and all(key[0] != other.request_id for key in costs)
            )
            taken = sum(costs.values()) + open_money + decision.reserved_usd_micros
            if decision.cap_usd_micros is not None and decision.reserved_usd_micros and taken > decision.cap_usd_micros:
                self.void.add(name)
            else:
                booked[name] = self.routed[name] = decision

    def _costs(self, partition: int, root: str, position: int) -> dict[tuple[str, int], int]:
        budget = tree_budget(root)
        return {
            (entry.id, entry.epoch): entry.usd_micros
            for offset, entry in self.entries[partition]
            if entry.budget == budget and offset < position
        }

    def _forwarded(self) -> Iterator[tuple[str, str]]:
        """What did not fit at its place goes to no pool, and its asker is told by a record that lasts."""
        sent = {
            (record.header("ce_id") or b"").decode()
            for pool in POOLS
            for record in self.mesh.sim.broker.records(self.mesh.topics.pool_prompts(pool))
            if record.value is not None
        }
        for name in sorted(sent - self.routed.keys()):
            yield "money", f"{name} was forwarded, though no decision that fits its budget says so"
        told = {r.header("ce_id") for r in self.mesh.sim.broker.records(self.mesh.topics.decisions())}
        for name in sorted(self.void):
            if overruled_id(name).encode() not in told:
                yield "money", f"{name} did not fit at its place, and no refusal says so"

    def _within_caps(self) -> Iterator[tuple[str, str]]:
        """Answers cost what was reserved at most, so that no tree passes its cap; calls paid twice are beside it."""
        caps = {d.root_id: d.cap_usd_micros for d in self.routed.values() if d.cap_usd_micros is not None}
        spent: dict[str, int] = defaultdict(int)
        firsts: set[str] = set()
        for completion in self.completions:
            if completion.request_id not in firsts:
                firsts.add(completion.request_id)
                spent[completion.root_id] += completion.usage.cost_usd_micros
        for root, cap in caps.items():
            if spent[root] > cap:
                yield "money", f"the tree {root} has spent {spent[root]} of {cap} micro-dollars"

    def _reconciled(self) -> Iterator[tuple[str, str]]:
        """To the micro-dollar: each completion is settled with its cost, and nothing else is."""
        paid = {(c.request_id, c.epoch): c.usage.cost_usd_micros for c in self.completions}
        booked = {(e.id, e.epoch): e.usd_micros for entries in self.entries.values() for _, e in entries}
        for key in sorted(paid.keys() | booked.keys()):
            if paid.get(key) != booked.get(key):
                yield "ledger", f"{key}: completions say {paid.get(key)}, settlements {booked.get(key)}"
