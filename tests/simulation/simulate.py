"""Runs the simulation by seed: everything that happens follows from the seed.

python tests/simulation/simulate.py --seeds 0:2000          # exit code 1 if a seed fails; prints how to replay it
python tests/simulation/simulate.py --seed 17 --history     # one seed again, with all that happened
python tests/simulation/simulate.py --seed 17 --shrink      # the least of it that still fails, and how to replay that
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from history_checker import Checker
from ledger_checker import LedgerChecker
from programs import AGENTS, EDITED, PROGRAMS
from simulated_mesh import PARTITIONS, Pressure, SimulatedMesh
from state_checker import StateChecker

from aiosv3.agents.worker.setup import ParkingPolicy
from aiosv3.streams.offsets import SET_ROOM
from aiosv3.streams.testing import Faults, Noise, Process, Simulation

QUIET = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0, batch=500)
ROUGH = Noise(slow=3.0, slow_share=0.1, lost_acks=0.02, lost_appends=0.005)
"""For seeds in which owners overlap: what one of them sends is on its way while the next one takes over."""
TASKS = 6
TREES = ("tree", "tidy", "long", "stubborn", "send", "send")
WITHIN = 8.0
"""Seconds of virtual time in which tasks arrive and faults strike."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a seed is left out: faults and tasks by their numbers, the rest of its events, the noise."""

    faults: frozenset[int] = frozenset()
    tasks: frozenset[int] = frozenset()
    extras: bool = False
    noise: bool = False


WHOLE = Cut()


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
    if rough(seed):
        kills, outages = rng.randrange(3), rng.randrange(2)
        return Faults(kills, pauses=2, cuts=3, expulsions=8, rebalances=6, outages=outages, crashes=3)
    return Faults(
        kills=rng.randrange(3) + (0 if seed % 3 == 0 else 3),
        pauses=rng.randrange(2),
        cuts=rng.randrange(2),
        expulsions=rng.randrange(2),
        rebalances=rng.randrange(3) + (0 if seed % 3 == 0 else 2),
        jumps=rng.randrange(2),
        outages=rng.randrange(2),
        crashes=rng.randrange(4),
    )


def rough(seed: int) -> bool:
    """In these seeds owners overlap all the time."""
    return seed % 4 == 1 and seed % 5 != 0


def noise_of(seed: int) -> Noise:
    """How bad the network of a seed is."""
    return QUIET if seed % 10 == 0 else ROUGH if rough(seed) else Noise(lost_appends=0.001)


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


def run_seed(seed: int, cut: Cut = WHOLE) -> Outcome:
    """One simulation from its seed to its verdict.

    Garbage waits until the end: it costs a tenth of the time, and what it finalizes would come when nobody chose. That
    killed processes leave coroutines behind which were never begun is nothing to be told of.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _run(seed, cut)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect(0)
        if collecting:
            gc.enable()


def _run(seed: int, cut: Cut) -> Outcome:
    with Simulation(seed, QUIET if cut.noise else noise_of(seed)) as sim:
        rng = random.Random(f"plan {seed}")
        refusals = rng.choice([0.0, 0.0, 0.15])
        mesh = SimulatedMesh(sim, refusals=refusals, pressure=pressure_of(seed), quiet=seed % 10 == 0)
        mesh.spawn(replicas=1 + seed % 2)
        sim.plan(faults_of(seed), within=WITHIN, without=cut.faults)
        _plan(sim, mesh, rng, WITHIN if rough(seed) else WITHIN / 2, cut)
        sim.run(until=lambda: sim.now > WITHIN + 2, max_time=WITHIN + 3, max_steps=3_000_000)
        sim.quieten()
        tasks = TASKS - len(cut.tasks)
        sim.run(until=lambda: sim.steps % 200 == 0 and all_answered(mesh, tasks), max_time=200, max_steps=3_000_000)
        return Outcome(seed, sim.steps, Checker(mesh).check(), str(sim))


def _plan(sim: Simulation, mesh: SimulatedMesh, rng: random.Random, arriving: float, cut: Cut) -> None:
    """Tasks at random times while ``arriving``, and what else happens to them.

    A cancel may come before its task; an event again, late; events that nobody can read; another version of the code.
    """
    where: dict[str, tuple[str, str]] = {}
    deployed = rng.random() < 0.2
    for number in range(TASKS):
        task_id, agent = f"T{number}", rng.choice(["root", "root", "serial"])
        key, program = rng.choice("kj"), rng.choice(list(PROGRAMS))
        if number == 0 and rng.random() < 0.7:
            program = rng.choice(TREES)  # T0 is the one that is cancelled, if any is
        elif deployed and number % 2:
            agent, program = "root", "seq"  # what is deployed is another version of it
        where[task_id] = agent, key
        at, told = rng.uniform(0, arriving), [rng.uniform(0, WITHIN) for _ in range(3)]
        if number in cut.tasks:
            continue
        sim.network.later(at, _task(mesh, agent, task_id, key, program))
        if program == "listen":
            for message_id, then in zip(("m1", "m1", "m2"), told, strict=True):
                sim.network.later(then, partial(mesh.tell, agent, task_id, key, message_id))
    extras: list[tuple[float, float, Callable[[], None]]] = [
        (0.5, rng.uniform(0, WITHIN / 2), lambda: _cancel(mesh, "T0", *where["T0"])),
        (0.4, rng.uniform(1, WITHIN - 1), lambda: _again(sim, mesh, rng)),
        (0.2, rng.uniform(0, WITHIN), mesh.misread),
        (0.2, rng.uniform(2, WITHIN + 2), mesh.late_state),
    ]
    for share, at, happens in extras:
        if rng.random() < share and not cut.extras:
            sim.network.later(at, happens)
    if deployed and not cut.extras:
        sim.network.later(rng.uniform(1, WITHIN / 2), lambda: _deploy(sim, mesh))


def _deploy(sim: Simulation, mesh: SimulatedMesh) -> None:
    """Other code for one agent, and the one before again a little later: what is stuck goes on with what fits it."""
    if mesh.code:
        mesh.code.clear()
    else:
        mesh.code["root"] = EDITED
    for process in sim.running():
        if process.base.startswith("agent-root") and not process.paused:
            process.kill()
            sim.network.later(0.5, partial(_start, sim, process))
    sim.network.later(3 * sim.broker.session_timeout, lambda: _deploy(sim, mesh))


def _start(sim: Simulation, gone: Process) -> None:
    sim.spawn(gone.base, gone.main)


def _task(mesh: SimulatedMesh, *task: str) -> Callable[[], None]:
    return lambda: mesh.produce(*task)


def _cancel(mesh: SimulatedMesh, task_id: str, agent: str, key: str) -> None:
    mesh.cancel(agent, task_id, key, before_task=not any(planned.id == task_id for planned in mesh.plan))


def _again(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    if mesh.plan:
        planned = rng.choice(mesh.plan)
        sim.note("producer", "sends again", planned.id)
        sim.broker.append(mesh.task_event(planned))


def all_answered(mesh: SimulatedMesh, tasks: int = TASKS) -> bool:
    """Every task and every child has a result; each key's newest state stands last; calls are settled."""
    answered = len(mesh.plan) == tasks and all(
        ids(mesh, mesh.topics.tasks(name)) <= ids(mesh, mesh.topics.results(name)) for name in AGENTS
    )
    return answered and StateChecker(mesh).settled() and LedgerChecker(mesh).settled()


def ids(mesh: SimulatedMesh, topic: str) -> set[bytes | None]:
    """The record ids of a topic."""
    known = {r.header("ce_id") for p in range(PARTITIONS) for r in mesh.sim.broker.records(topic, p)}
    return known - {b"\xff"}  # it has no name to answer to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:200", help="FROM:TO")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--history", action="store_true", help="print what happened")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--shrink", action="store_true", help="leave out whatever a failing seed does not need")
    parser.add_argument("--without-faults", default="", help="numbers of faults that do not strike")
    parser.add_argument("--without-tasks", default="", help="numbers of tasks that do not come")
    parser.add_argument("--without-extras", action="store_true", help="no cancels, copies, unreadable events, versions")
    parser.add_argument("--without-noise", action="store_true", help="a network that only delays")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first, last = (options.seed, options.seed + 1) if options.seed is not None else map(int, options.seeds.split(":"))
    cut = Cut(
        _numbers(options.without_faults), _numbers(options.without_tasks), options.without_extras, options.without_noise
    )
    began, bad = time.monotonic(), 0
    for outcome in _outcomes(range(first, last), cut, options.jobs):
        if options.history:
            print(outcome.history)
        for invariant, words in outcome.violations:
            print(f"seed {outcome.seed}: {invariant}: {words}")
        if outcome.violations:
            bad += 1
            print(f"replay: {replay(outcome.seed, cut)}", flush=True)
            if options.shrink:
                print(f"at least: {replay(outcome.seed, shrunk(outcome, cut))}", flush=True)
    print(f"{last - first} seeds, {bad} failed, {time.monotonic() - began:.0f} s")
    sys.exit(bad > 0)


def _outcomes(seeds: Iterable[int], cut: Cut, jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if jobs == 1:
        yield from (run_seed(seed, cut) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        yield from pool.map(partial(run_seed, cut=cut), seeds, chunksize=10)


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(word) for word in text.split(",") if word)


def replay(seed: int, cut: Cut) -> str:
    """The command that does it again."""
    words = ["python tests/simulation/simulate.py", f"--seed {seed}"]
    for name, numbers in (("faults", cut.faults), ("tasks", cut.tasks)):
        if numbers:
            words.append(f"--without-{name} {','.join(map(str, sorted(numbers)))}")
    words += [f"--without-{name}" for name in ("extras", "noise") if getattr(cut, name)]
    return " ".join([*words, "--history"])


def shrunk(failed: Outcome, cut: Cut = WHOLE) -> Cut:
    """Leaves out one thing after the other as long as the same invariant breaks; each such run is exact by itself."""
    wanted = failed.violations[0][0]
    again = True
    while again:
        again = False
        for smaller in _smaller(failed.seed, cut):
            if any(invariant == wanted for invariant, _ in run_seed(failed.seed, smaller).violations):
                cut, again = smaller, True
                break
    return cut


def _smaller(seed: int, cut: Cut) -> Iterator[Cut]:
    """The halves first, then one by one."""
    faults = [number for number in range(len(faults_of(seed).kinds())) if number not in cut.faults]
    tasks = [number for number in range(TASKS) if number not in cut.tasks]
    if not cut.extras:
        yield replace(cut, extras=True)
    if not cut.noise:
        yield replace(cut, noise=True)
    for size in sorted({len(faults), len(faults) // 2, 1} - {0}, reverse=True):
        for begin in range(0, len(faults), size):
            yield replace(cut, faults=cut.faults | {*faults[begin : begin + size]})
    for number in tasks[: len(tasks) if len(tasks) > 1 else 0]:
        yield replace(cut, tasks=cut.tasks | {number})


if __name__ == "__main__":
    main()
