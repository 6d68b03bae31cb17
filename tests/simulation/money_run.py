"""Routers and pools alone, with many requests of few trees, tenants and agents whose caps are small.

Owners overlap while money is short. Two owners read the same inputs and decide alike, so what a late one writes is
mostly a second record of an id. To have decisions that differ, some are written as an owner would whose append was held
up: it had read less of the journal, and the request comes later for the one that has the partition now.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from functools import partial

from ledger_checker import LedgerChecker
from model_on_paper import ModelOnPaper
from shrinking import WHOLE, Cut
from simulated_mesh import PARTITIONS, POOLS, PRICE

from aiosv3.router.ledger import Cap, Caps, Cashier, Patience, keeping_books
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.router import Router
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.money import return_id, return_number
from aiosv3.schemas.records import (
    Decision,
    DecisionOutcome,
    JournalRecord,
    Message,
    ModelRequest,
    Prompt,
    Role,
)
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event, reply_to
from aiosv3.streams.effector import EffectorTenure
from aiosv3.streams.log import Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.processor import OpenTenure, Processor
from aiosv3.streams.tenure import Wiring
from aiosv3.streams.testing import Faults, Noise, ProcessContext, Simulation

TASKS = 100
"""Requests."""
TREES = {"R0": "t", "R1": "t", "R2": "u", "R3": "u", "R4": "v"}
"""Trees and their tenants. Those of one tenant are of different partitions."""
AGENTS = ("a", "b")
WITHIN = 6.0
MOST = (10, 50, 100, 400)
"""Tokens that a call may write; with ten of input, so many micro-dollars are reserved for it."""
LATE = 12
"""Decisions that land late, of owners that are gone; and returns of each shared budget."""
QUIET = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)
BAD = Noise(slow=3.0, slow_share=0.1)


@dataclass(frozen=True, slots=True)
class Wish:
    """One request."""

    id: str
    root: str
    agent: str
    most: int

    @property
    def partition(self) -> int:
        return murmur2_partition(self.root.encode(), PARTITIONS)


@dataclass(slots=True)
class MoneyMesh:
    """What runs, and what :class:`LedgerChecker` and :class:`ModelOnPaper` ask of it. ``shared``: caps by budget."""

    sim: Simulation
    caps: dict[str, int]
    shared: dict[str, int]
    refusals: float = 0.0
    keep_every: float = 1.0
    topics: Topics = field(default_factory=Topics)
    codec: Codec = field(default_factory=lambda: Codec(SchemaStore()))
    wanted: int = TASKS
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
        tenants, agents = ({b: Cap(c) for b, c in self.shared.items() if b.startswith(kind)} for kind in ("ten", "ag"))
        named = [{budget.partition("/")[2]: cap for budget, cap in caps.items()} for caps in (tenants, agents)]
        cashier = Cashier(patience=2.0, caps=Caps(named[0], named[1], process.clock_ms))
        router = Router(topics, self.codec, self._pools(), PoolTable(), process.clock_ms, cashier)
        wiring = self._wiring(process, "router", topics.prompts(), topics.decisions(), topics.router_journal())
        tenures = keeping_books(wiring, router, self.codec, 50, topics, self.keep_every, Patience(pause=0.3, idle=0.5))
        await self._serve(wiring, tenures)

    def _pools(self) -> list[Pool]:
        return [
            Pool(name, "sim", name, Clearance.RESTRICTED, PRICE, quality=0.9 - n / 10) for n, name in enumerate(POOLS)
        ]

    async def _pool(self, name: str, process: ProcessContext) -> None:
        pool = next(pool for pool in self._pools() if pool.name == name)
        topics = self.topics
        endpoint = ModelOnPaper(self, process, name)
        policy = WorkerPolicy(retries=0)
        wiring = self._wiring(process, f"pool.{name}", topics.pool_prompts(name), topics.completions(name))
        clock, alive = process.clock_ms, wiring.member.alive
        now = process.process.deterministic.time
        worker = ModelWorker(
            pool, endpoint, topics, self.codec.store, self.codec, clock, policy, alive=alive, monotonic=now
        )
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

    def ask(self, wish: Wish) -> None:
        """A request; again, if it was asked before."""
        self.sent.append(wish.id)
        self.sim.broker.append(self.request(wish))

    def request(self, wish: Wish) -> Outgoing:
        """As an agent sends it now."""
        prompt = Prompt((Message(Role.USER, "hello"),), None, wish.most)
        value = self.codec.encode(ModelRequest(wish.id, wish.root, wish.root, wish.id, wish.agent, prompt))
        grant = Grant(TREES[wish.root], wish.root, Clearance.PUBLIC, cap=self.caps[wish.root])
        headers = [
            ("ce_id", wish.id.encode()),
            (GRANT, grant.encode()),
            (ROUTE, Route(wish.agent, 0.5, 10, wish.most, first_sent=self._now(), hash="h").encode()),
            (REPLY, self._reply(wish).encode()),
        ]
        return Outgoing(self.topics.prompts(), wish.partition, wish.root.encode(), value, headers)

    def _now(self) -> int:
        return int(self.sim.clock() * 1000)

    def _reply(self, wish: Wish) -> Reply:
        return Reply(self.topics.journal("asker"), 0, 0, wish.root, wish.id, "t")

    def decide_late(self, wish: Wish, behind: int) -> None:
        """A decision of somebody who had the partition before, ``behind`` entries of the journal ago."""
        names = (f"tenant/{TREES[wish.root]}", f"agent/{wish.agent}")
        partition = self.sim.broker.partition(self.topics.router_journal(), wish.partition)
        decision = Decision(
            wish.id, wish.root, wish.root, 1, 0, 0, "h", self._now(), reply_to(self._reply(wish)),
            DecisionOutcome.ROUTED, POOLS[0], POOLS[0], "late", (), "1", "1",
            ledger_position=max(0, partition.end - behind), reserved_usd_micros=10 + wish.most,
            cap_usd_micros=self.caps[wish.root], budgets=tuple(name for name in names if name in self.shared),
        )  # fmt: skip
        headers = event(b"aiosv3.decision", wish.id, b"late", AVRO, b"")
        value = self.codec.encode(decision)
        self.sim.broker.append(Outgoing(self.topics.decisions(), wish.partition, None, value, headers))

    def give_late(self, budget: str, partition: int, amount: int) -> None:
        """The same for money that goes back: by now it may be reserved, or spent."""
        records = self.sim.broker.records(self.topics.decisions(), partition)
        names = [(record.header("ce_id") or b"").decode() for record in records]
        name = return_id(budget, 1 + max([return_number(one) for one in names if one.startswith(budget)], default=0))
        decision = Decision(
            name, budget, "", 0, -1, 0, "", 0, None, DecisionOutcome.REFUSED, None, None, "late", (), "1", "1",
            ledger_position=self.sim.broker.partition(self.topics.router_journal(), partition).end,
            reserved_usd_micros=amount, budgets=(budget,),
        )  # fmt: skip
        headers = event(b"aiosv3.decision", name, b"late", AVRO, b"")
        self.sim.broker.append(Outgoing(self.topics.decisions(), partition, None, self.codec.encode(decision), headers))

    def answers(self) -> list[JournalRecord]:
        """What the askers got."""
        records = self.sim.broker.records(self.topics.journal("asker"))
        return [self.codec.decode_as(JournalRecord, record.value) for record in records if record.value is not None]

    def done(self) -> bool:
        """Every request is answered, and every call settled."""
        if len(set(self.sent)) < self.wanted or len({a.step_id for a in self.answers()}) < self.wanted:
            return False
        return LedgerChecker(self, self.shared).settled()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed showed."""

    seed: int
    violations: list[tuple[str, str]]
    history: str
    void: int
    refused: int
    twice: int
    gave: int
    """Partitions that gave money of a shared budget back."""


def faults_of(seed: int) -> Faults:
    """Owners overlap in every seed."""
    rng = random.Random(f"money faults {seed}")
    return Faults(kills=rng.randrange(4), cuts=3, expulsions=8, pauses=3, rebalances=6, outages=rng.randrange(2))


def run_seed(seed: int, cut: Cut = WHOLE) -> Outcome:
    """One simulation from its seed to its verdict. Extras: decisions and returns that land late."""
    rng = random.Random(f"money {seed}")
    with Simulation(seed, QUIET if cut.noise else BAD) as sim:
        caps = {root: rng.randrange(500, 6_000) for root in TREES}
        names = ("tenant/t", "tenant/u", "agent/a")
        shared = {name: rng.randrange(500, 5_000) for name in rng.sample(names, rng.randrange(4))}
        mesh = MoneyMesh(sim, caps, shared, rng.choice([0.0, 0.2]), rng.choice([1.0, 3_600.0]))
        mesh.wanted = TASKS - len(cut.tasks)
        mesh.spawn()
        sim.plan(faults_of(seed), within=WITHIN, without=cut.faults)
        for number in range(TASKS):
            wish = Wish(f"q{number}", rng.choice(sorted(TREES)), rng.choice(AGENTS), rng.choice(MOST))
            times = [rng.uniform(0, WITHIN) for _ in range(rng.choice([1, 1, 1, 2]))]
            late, behind = max(0.0, times[-1] - rng.uniform(0, 0.2)), rng.randrange(4)
            for at in times if number not in cut.tasks else ():
                sim.network.later(at, partial(mesh.ask, wish))
            if number < LATE and number not in cut.tasks and not cut.extras:
                sim.network.later(late, partial(mesh.decide_late, wish, behind))
        for budget in shared if not cut.extras else ():
            for _ in range(LATE):
                give = partial(mesh.give_late, budget, rng.randrange(PARTITIONS), rng.randrange(1, 500))
                sim.network.later(rng.uniform(0, WITHIN), give)
        sim.run(until=lambda: sim.now > WITHIN + 1, max_time=WITHIN + 2, max_steps=3_000_000)
        sim.quieten()
        sim.run(until=lambda: sim.steps % 200 == 0 and mesh.done(), max_time=200, max_steps=3_000_000)
        return _verdict(mesh, seed)


def _verdict(mesh: MoneyMesh, seed: int) -> Outcome:
    checker = LedgerChecker(mesh, mesh.shared)
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
    gave = sum(1 for amount in checker.returned.values() if amount)
    return Outcome(seed, violations, str(mesh.sim), len(checker.void), refused, twice, gave)
