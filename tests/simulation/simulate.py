"""Runs the simulation by seed: everything that happens follows from the seed.

python tests/simulation/simulate.py --seeds 0:2000          # exit code 1 if a seed fails; prints how to replay it
python tests/simulation/simulate.py --seed 17 --history     # one seed again, with all that happened
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from history_checker import Checker
from ledger_checker import LedgerChecker
from programs import AGENTS, PROGRAMS
from simulated_mesh import PARTITIONS, Pressure, SimulatedMesh
from state_checker import StateChecker

from aiosv3.agents.worker.setup import ParkingPolicy
from aiosv3.streams.offsets import SET_ROOM
from aiosv3.streams.testing import Faults, Noise, Simulation

QUIET = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0, batch=500)
TASKS = 6
TREES = ("tree", "tidy", "long")
WITHIN = 8.0
"""Seconds of virtual time in which tasks arrive and faults strike."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed showed. ``history`` is everything that happened, one line each."""

    seed: int
    steps: int
    violations: list[tuple[str, str]]
    history: str


def faults_of(seed: int) -> Faults:
    """The faults of a seed; every fifth has none. Where tasks are parked, owners change more often."""
    rng = random.Random(f"faults {seed}")
    if seed % 5 == 0:
        return Faults()
    return Faults(
        kills=rng.randrange(3) + (0 if seed % 3 == 0 else 3),
        pauses=rng.randrange(2),
        cuts=rng.randrange(2),
        expulsions=rng.randrange(2),
        rebalances=rng.randrange(3) + (0 if seed % 3 == 0 else 2),
        jumps=rng.randrange(2),
        outages=rng.randrange(2),
    )


def pressure_of(seed: int) -> Pressure:
    """Two of three seeds park: soon, or because few may be awake, or because commits have little room; carries too."""
    rng = random.Random(f"pressure {seed}")
    if seed % 3 == 0:
        return Pressure()
    parking = ParkingPolicy(
        after=rng.choice([0.05, 0.3, 1.0, 600.0]),
        drowsy=rng.choice([0.05, 0.5]),
        span=rng.choice([0, 2_000, 1 << 22]),
        own_lag=rng.choice([1, 100]),
        age=rng.choice([0.5, 86_400.0]),
        inline=rng.choice([0, 1_000, 1 << 19]),
    )
    return Pressure(parking, rng.choice([1, 2, 10_000]), rng.choice([2, 4, 16, SET_ROOM]))


def run_seed(seed: int) -> Outcome:
    """One simulation from its seed to its verdict."""
    with Simulation(seed, QUIET if seed % 10 == 0 else None) as sim:
        rng = random.Random(f"plan {seed}")
        refusals = rng.choice([0.0, 0.0, 0.15])
        mesh = SimulatedMesh(sim, refusals=refusals, pressure=pressure_of(seed), quiet=seed % 10 == 0)
        mesh.spawn(replicas=1 + seed % 2)
        sim.plan(faults_of(seed), within=WITHIN)
        _plan(sim, mesh, rng)
        sim.run(until=lambda: sim.now > WITHIN + 2, max_time=WITHIN + 3, max_steps=3_000_000)
        sim.quieten()
        sim.run(until=lambda: sim.steps % 200 == 0 and all_answered(mesh), max_time=200, max_steps=3_000_000)
        return Outcome(seed, sim.steps, Checker(mesh).check(), str(sim))


def _plan(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    """Tasks at random times; perhaps a cancel, which may come before its task; perhaps an event again, late."""
    where: dict[str, tuple[str, str]] = {}
    for number in range(TASKS):
        task_id, agent = f"T{number}", rng.choice(["root", "root", "serial"])
        key, program = rng.choice("kj"), rng.choice(list(PROGRAMS))
        if number == 0 and rng.random() < 0.5:
            program = rng.choice(TREES)  # T0 is the one that is cancelled, if any is
        where[task_id] = agent, key
        sim.network.later(rng.uniform(0, WITHIN / 2), _task(mesh, agent, task_id, key, program))
        if program == "listen":
            for message_id in ("m1", "m1", "m2"):
                sim.network.later(rng.uniform(0, WITHIN), partial(mesh.tell, agent, task_id, key, message_id))
    if rng.random() < 0.4:
        sim.network.later(rng.uniform(0, WITHIN / 2), lambda: _cancel(mesh, "T0", *where["T0"]))
    if rng.random() < 0.4:
        sim.network.later(rng.uniform(1, WITHIN - 1), lambda: _again(sim, mesh, rng))


def _task(mesh: SimulatedMesh, *task: str) -> Callable[[], None]:
    return lambda: mesh.produce(*task)


def _cancel(mesh: SimulatedMesh, task_id: str, agent: str, key: str) -> None:
    mesh.cancel(agent, task_id, key, before_task=not any(planned.id == task_id for planned in mesh.plan))


def _again(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    if mesh.plan:
        planned = rng.choice(mesh.plan)
        sim.note("producer", "sends again", planned.id)
        sim.broker.append(mesh.task_event(planned))


def all_answered(mesh: SimulatedMesh) -> bool:
    """Every task and every child has a result; each key's newest state stands last; calls are settled."""
    answered = len(mesh.plan) == TASKS and all(
        ids(mesh, mesh.topics.tasks(name)) <= ids(mesh, mesh.topics.results(name)) for name in AGENTS
    )
    return answered and StateChecker(mesh).settled() and LedgerChecker(mesh).settled()


def ids(mesh: SimulatedMesh, topic: str) -> set[bytes | None]:
    """The record ids of a topic."""
    return {r.header("ce_id") for p in range(PARTITIONS) for r in mesh.sim.broker.records(topic, p)}


def failures(seeds: Iterable[int]) -> Iterable[Outcome]:
    """The outcomes of the seeds that broke an invariant."""
    for seed in seeds:
        outcome = run_seed(seed)
        if outcome.violations:
            yield outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:200", help="FROM:TO")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--history", action="store_true", help="print what happened")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first, last = (options.seed, options.seed + 1) if options.seed is not None else map(int, options.seeds.split(":"))
    began, bad = time.monotonic(), 0
    for seed in range(first, last):
        outcome = run_seed(seed)
        if options.history:
            print(outcome.history)
        for invariant, words in outcome.violations:
            print(f"seed {seed}: {invariant}: {words}")
        if outcome.violations:
            bad += 1
            print(f"replay: python tests/simulation/simulate.py --seed {seed} --history", flush=True)
    print(f"{last - first} seeds, {bad} failed, {time.monotonic() - began:.0f} s")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
