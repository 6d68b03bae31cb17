"""Routers and pools alone, with many requests of few trees whose caps are small: owners overlap while money is short.

python tests/simulation/money_run.py --seeds 0:500          # exit code 1 if a seed fails
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from dataclasses import dataclass, field, replace
from functools import partial

from ledger_checker import LedgerChecker
from model_on_paper import ModelOnPaper
from simulated_mesh import PARTITIONS, POOLS, PRICE

from aiosv3.router.ledger import Cashier, keeping_books
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.router import Router
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import JournalRecord, Message, ModelRequest, Prompt, Role
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import EffectorTenure
from aiosv3.streams.log import Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.processor import OpenTenure, Processor
from aiosv3.streams.tenure import Wiring
from aiosv3.streams.testing import Faults, Noise, ProcessContext, Simulation

REQUESTS = 100
TREES = ("R0", "R1", "R2")
WITHIN = 6.0
MOST = 100
"""Tokens that a call may write; with ten of input, 110 micro-dollars are reserved for it."""
BAD = Noise(slow=3.0, slow_share=0.1)


@dataclass(slots=True)
class MoneyMesh:
    """What runs, and what :class:`LedgerChecker` and :class:`ModelOnPaper` ask of it."""

    sim: Simulation
    caps: dict[str, int]
    refusals: float = 0.0
    keep_every: float = 1.0
    topics: Topics = field(default_factory=Topics)
    codec: Codec = field(default_factory=lambda: Codec(SchemaStore()))
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        topics = self.topics
        names = [topics.prompts(), topics.decisions(), topics.router_journal(), topics.journal("asker")]
        names.append(topics.ledger())
        names += [name for pool in POOLS for name in (topics.pool_prompts(pool), topics.completions(pool))]
        for name in (*names, topics.dead_letters()):
            self.sim.broker.create_topic(name, PARTITIONS)

    def called(self, process: str, answers: str, request_id: str) -> None:
        """A call reached the endpoint."""

    def word(self) -> str:
        return "ok"

    # -- processes ------------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        for number in range(2):
            self.sim.spawn(f"router-{number}", self._router)
            for pool in POOLS:
                self.sim.spawn(f"pool-{pool}-{number}", partial(self._pool, pool))

    def _wiring(self, process: ProcessContext, group: str, inputs: str, own: str, journal: str | None = None) -> Wiring:
        member = process.member(group, inputs, journal)
        metrics = MetricsCatalogue().processor(process.name)
        wiring = Wiring(process.name, inputs, own, journal, process.log, member, process.clock_ms, metrics)
        return replace(wiring, marks_own=journal is not None)

    async def _serve(self, wiring: Wiring, tenures: OpenTenure) -> None:
        await Processor(wiring, tenures, commit_every=0.5).start()
        await asyncio.Event().wait()

    async def _router(self, process: ProcessContext) -> None:
        topics = self.topics
        router = Router(topics, self.codec, self._pools(), PoolTable(), process.clock_ms, Cashier(patience=1.0))
        wiring = self._wiring(process, "router", topics.prompts(), topics.decisions(), topics.router_journal())
        await self._serve(wiring, keeping_books(wiring, router, self.codec, 50, topics, keep_every=self.keep_every))

    def _pools(self) -> list[Pool]:
        return [
            Pool(name, "sim", name, Clearance.RESTRICTED, PRICE, quality=0.9 - n / 10) for n, name in enumerate(POOLS)
        ]

    async def _pool(self, name: str, process: ProcessContext) -> None:
        pool = next(pool for pool in self._pools() if pool.name == name)
        topics = self.topics
        endpoint = ModelOnPaper(self, process, name)
        policy = WorkerPolicy(retries=0)
        worker = ModelWorker(pool, endpoint, topics, self.codec.store, self.codec, process.clock_ms, policy)
        wiring = self._wiring(process, f"pool.{name}", topics.pool_prompts(name), topics.completions(name))
        dead = topics.dead_letters()
        await self._serve(
            wiring,
            lambda partition, committed, start: EffectorTenure(
                wiring,
                partition,
                committed,
                start,
                effector=worker,
                limit=8,
                dead_letters=dead,
                beside=worker.settle,
            ),
        )

    # -- requests -------------------------------------------------------------------------------------------------

    def ask(self, request_id: str, root: str) -> None:
        """A request of the tree ``root``; again, if it was asked before."""
        self.sent.append(request_id)
        now = int(self.sim.clock() * 1000)
        headers = [
            ("ce_id", request_id.encode()),
            (GRANT, Grant("t", root, Clearance.PUBLIC, cap=self.caps[root]).encode()),
            (ROUTE, Route(None, 0.5, 10, MOST, first_sent=now, hash="h").encode()),
            (REPLY, Reply(self.topics.journal("asker"), 0, 0, root, request_id, "t").encode()),
        ]
        prompt = Prompt((Message(Role.USER, "hello"),), None, MOST)
        value = self.codec.encode(ModelRequest(request_id, root, root, request_id, "asker", prompt))
        partition = murmur2_partition(root.encode(), PARTITIONS)
        self.sim.broker.append(Outgoing(self.topics.prompts(), partition, root.encode(), value, headers))

    def answers(self) -> list[JournalRecord]:
        """What the askers got."""
        records = self.sim.broker.records(self.topics.journal("asker"))
        return [self.codec.decode_as(JournalRecord, record.value) for record in records if record.value is not None]

    def done(self) -> bool:
        """Every request is answered, and every call settled."""
        if len(set(self.sent)) < REQUESTS or len({a.step_id for a in self.answers()}) < REQUESTS:
            return False
        return LedgerChecker(self).settled()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed showed."""

    seed: int
    violations: list[tuple[str, str]]
    history: str
    void: int
    refused: int
    twice: int


def run_seed(seed: int) -> Outcome:
    """One simulation from its seed to its verdict."""
    rng = random.Random(f"money {seed}")
    with Simulation(seed, BAD) as sim:
        caps = {root: rng.randrange(300, 2_000) for root in TREES}
        mesh = MoneyMesh(sim, caps, rng.choice([0.0, 0.2]), rng.choice([1.0, 3_600.0]))
        mesh.spawn()
        faults = Faults(kills=rng.randrange(4), cuts=3, expulsions=8, pauses=3, rebalances=6, outages=rng.randrange(2))
        sim.plan(faults, within=WITHIN)
        for number in range(REQUESTS):
            root = rng.choice(TREES)
            for _ in range(rng.choice([1, 1, 1, 2])):
                sim.network.later(rng.uniform(0, WITHIN), partial(mesh.ask, f"q{number}", root))
        sim.run(until=lambda: sim.now > WITHIN + 1, max_time=WITHIN + 2, max_steps=3_000_000)
        sim.quieten()
        sim.run(until=lambda: sim.steps % 200 == 0 and mesh.done(), max_time=200, max_steps=3_000_000)
        return _verdict(mesh, seed)


def _verdict(mesh: MoneyMesh, seed: int) -> Outcome:
    checker = LedgerChecker(mesh)
    violations = list(checker.violations())
    answers = mesh.answers()
    unanswered = sorted({*mesh.sent} - {answer.step_id for answer in answers})
    violations += [("lost", f"{request_id} has no answer") for request_id in unanswered]
    said: dict[str | None, set[str]] = {}
    for answer in answers:
        said.setdefault(answer.step_id, set()).add(f"{answer.outcome} {answer.error and answer.error.type}")
    violations += [("two_answers", f"{step}: {sorted(words)}") for step, words in said.items() if len(words) > 1]
    refused = sum("BudgetExceeded" in word for words in said.values() for word in words)
    twice = len(checker.completions) - len({c.request_id for c in checker.completions})
    return Outcome(seed, violations, str(mesh.sim), len(checker.void), refused, twice)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:200", help="FROM:TO")
    parser.add_argument("--history", action="store_true", help="print what happened")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first, last = map(int, options.seeds.split(":"))
    bad = void = refused = twice = 0
    for seed in range(first, last):
        outcome = run_seed(seed)
        void, refused, twice = void + outcome.void, refused + outcome.refused, twice + outcome.twice
        if options.history:
            print(outcome.history)
        for invariant, words in outcome.violations:
            print(f"seed {seed}: {invariant}: {words}")
        bad += bool(outcome.violations)
    print(f"{last - first} seeds, {bad} failed; void {void}, refused {refused}, paid twice {twice}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
