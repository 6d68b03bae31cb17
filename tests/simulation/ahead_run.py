"""Pools alone, asked by somebody whose clock is ahead by more than the grace of rule 13.

Whether a request was answered is then not found by when it was first sent. Each comes once, so that it is not looked
for that way either: what a restore reads, from the position that the last commit names, has to be enough (rule 9).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from money_run import BAD, QUIET, TREES, MoneyMesh, Wish
from shrinking import WHOLE, Cut
from simulated_mesh import PARTITIONS, POOLS

from aiosv3.schemas.headers import ROUTE, Route
from aiosv3.schemas.records import Completion
from aiosv3.streams.ownlog import GRACE_MS
from aiosv3.streams.testing import Faults, Simulation

TASKS = 40
"""Requests."""
WITHIN = 6.0
_POOL = POOLS[0]


@dataclass(slots=True)
class AheadMesh(MoneyMesh):
    """Two workers of a pool; requests go to them past the router."""

    words: int = 0
    again: list[str] = field(default_factory=list)
    """Calls for what the caller had to know, in words."""

    def spawn(self) -> None:
        for number in range(2):
            self.sim.spawn(f"pool-{_POOL}-{number}", partial(self._pool, _POOL))

    def called(self, process: str, answers: str, request_id: str) -> None:
        """Nobody asks for what is answered below the newest marker of its own."""
        for partition in range(PARTITIONS):
            records = self.sim.broker.records(answers, partition)
            mine = max(
                (r.offset for r in records if r.header("ce_source") == process.encode() and not r.value), default=0
            )
            if any(r.header("ce_id") == request_id.encode() and r.value and r.offset < mine for r in records):
                self.again.append(f"{process} called for {request_id} at {self.sim.now:.3f}, answered before")

    def word(self) -> str:
        """A fresh one: a call that is made again shows as a second answer."""
        self.words += 1
        return f"w{self.words}"

    def ask(self, wish: Wish) -> None:
        """A request as the router forwards it, first sent in the future."""
        self.sent.append(wish.id)
        record = self.request(wish)
        headers = dict(record.headers)
        route = Route.decode(headers[ROUTE])
        headers[ROUTE] = replace(route, pool=_POOL, first_sent=route.first_sent + 2 * GRACE_MS).encode()
        topic = self.topics.pool_prompts(_POOL)
        self.sim.broker.append(record._replace(topic=topic, headers=list(headers.items())))

    def completions(self) -> Iterator[Completion]:
        """What the calls came to."""
        for record in self.sim.broker.records(self.topics.completions(_POOL)):
            if record.value is not None:
                yield self.codec.decode_as(Completion, record.value)

    def done(self) -> bool:
        """Every request is answered."""
        return {answer.step_id for answer in self.answers()} >= {*self.sent} and len(self.sent) == self.wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed showed. ``calls``: how many answers there are; some of them twice."""

    seed: int
    violations: list[tuple[str, str]]
    history: str
    calls: int


def faults_of(seed: int) -> Faults:
    """Workers come and go; who is at work when it is killed has answers on the log that it has not passed on."""
    rng = random.Random(f"ahead faults {seed}")
    return Faults(kills=rng.randrange(4), crashes=2 + rng.randrange(4), rebalances=rng.randrange(3), pauses=seed % 2)


def run_seed(seed: int, cut: Cut = WHOLE) -> Outcome:
    """One simulation from its seed to its verdict. It has no extras."""
    rng = random.Random(f"ahead {seed}")
    with Simulation(seed, QUIET if cut.noise else BAD) as sim:
        mesh = AheadMesh(sim, dict.fromkeys(TREES, 1_000_000), {}, wanted=TASKS - len(cut.tasks))
        mesh.spawn()
        sim.plan(faults_of(seed), within=WITHIN, without=cut.faults)
        for number in range(TASKS):
            wish, at = Wish(f"q{number}", rng.choice(sorted(TREES)), "a", 10), rng.uniform(0, WITHIN)
            if number not in cut.tasks:
                sim.network.later(at, partial(mesh.ask, wish))
        sim.run(until=lambda: sim.now > WITHIN + 1, max_time=WITHIN + 2, max_steps=3_000_000)
        sim.quieten()
        sim.run(until=lambda: sim.steps % 200 == 0 and mesh.done(), max_time=200, max_steps=3_000_000)
        return Outcome(seed, list(_violations(mesh)), str(sim), sum(1 for _ in mesh.completions()))


def _violations(mesh: AheadMesh) -> Iterator[tuple[str, str]]:
    yield from (("call_again", words) for words in mesh.again)
    said: dict[str | None, set[str]] = {}
    for answer in mesh.answers():
        said.setdefault(answer.step_id, set()).add(f"{answer.outcome} {answer.content!r}")
    yield from (("lost", f"{name} has no answer") for name in mesh.sent if name not in said)
    yield from (("two_answers", f"{name}: {sorted(words)}") for name, words in said.items() if len(words) > 1)
