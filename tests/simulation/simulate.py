"""Runs the whole mesh by seed: everything that happens follows from the seed.

python tests/simulation/simulate.py --seeds 2000            # or FROM:TO; exit code 1 if one fails; says how to replay
python tests/simulation/simulate.py --seed 17 --history     # one seed again, with all that happened
python tests/simulation/simulate.py --seed 17 --shrink      # the least of it that still fails, and how to replay that
python tests/simulation/simulate.py --run money --seeds 99  # money, memory, sealed content, clocks that are ahead
python tests/simulation/simulate.py --run all --seeds 2000  # the mesh, and a tenth as many seeds of each other run
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import cast

from aging import MORE, age, compact_soon, more_tasks
from history_checker import Checker
from ledger_checker import LedgerChecker
from memory_checker import MemoryChecker
from programs import AGENTS, EDITED, MEMORY, PROGRAMS
from shrinking import WHOLE, Cut, Run, Showing, Shrinking
from simulated_mesh import PARTITIONS, Pressure, SimulatedMesh
from state_checker import StateChecker

from aiosv3.agents.worker.setup import ParkingPolicy
from aiosv3.streams.offsets import SET_ROOM
from aiosv3.streams.testing import Faults, Group, Noise, Process, Simulation
from aiosv3.streams.truncation import KEPT_S

QUIET = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0, batch=500)
ROUGH = Noise(slow=3.0, slow_share=0.1, lost_acks=0.02, lost_appends=0.005)
"""For seeds in which owners overlap: what one of them sends is on its way while the next one takes over."""
TASKS = 6
TREES = ("tree", "tidy", "long", "stubborn", "send", "send", "impatient")
SHORT_S = 6.0
"""Where logs are cleaned: seconds after which the journal below a commit, and inputs below it, are deleted.

Longer than any message is on its way there. In life these are an hour and seven days.
"""
RUNS = {
    "mesh": "simulate",
    "money": "money_run",
    "memory": "memory_run",
    "sealed": "sealing_run",
    "ahead": "ahead_run",
}
"""Run -> the module whose ``run_seed`` makes an outcome of a seed."""
OVERTAKEN = 8
"""How often an owner is overtaken, where agents write in transactions."""
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
    if cleaned(seed):  # nothing may be on its way for longer than logs are kept
        return Faults(kills=rng.randrange(4), pauses=rng.randrange(2), rebalances=rng.randrange(4), crashes=2)
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


def cleaned(seed: int) -> bool:
    """In these seeds logs are short: inputs and journals are deleted, and groups lose what they had committed."""
    return seed % 6 == 2 and seed % 5 != 0


def remembers(seed: int) -> bool:
    """In these seeds there are memory workers."""
    return seed % 3 == 1


def once(seed: int) -> bool:
    """In these seeds agents write their results in transactions."""
    return seed % 7 == 4


def aged(seed: int) -> bool:
    """In these seeds the mesh rests for so long that its logs are gone, then goes on."""
    return seed % 7 == 5 and not cleaned(seed)


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
        drowsy=rng.choice([0.15, 0.5]),
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
        mesh = SimulatedMesh(
            sim,
            refusals=refusals,
            pressure=pressure_of(seed),
            quiet=seed % 10 == 0,
            remembers=remembers(seed),
            kept=SHORT_S if cleaned(seed) else KEPT_S,
            once=once(seed),
        )
        mesh.spawn(replicas=1 + seed % 2)
        sim.plan(faults_of(seed), within=WITHIN, without=cut.faults)
        _plan(sim, mesh, rng, WITHIN if rough(seed) else WITHIN / 2, cut)
        if cleaned(seed) and not cut.extras:
            _clean(sim, mesh, rng)
        if once(seed) and not cut.extras:
            _overtake(sim, mesh, rng)
        old = aged(seed) and not cut.extras
        if old:
            compact_soon(sim, rng, WITHIN)
        sim.run(until=lambda: sim.now > WITHIN + 2, max_time=WITHIN + 3, max_steps=3_000_000)
        sim.quieten()
        tasks = TASKS - len(cut.tasks)
        _finish(sim, mesh, tasks)
        if old and all_answered(mesh, tasks):
            if not age(sim, mesh, rng):
                return Outcome(seed, sim.steps, [("restless", "what is done is not committed")], str(sim))
            more_tasks(sim, mesh, rng, TASKS)
            _finish(sim, mesh, tasks + MORE)
        return Outcome(seed, sim.steps, Checker(mesh).check(), str(sim))


def _finish(sim: Simulation, mesh: SimulatedMesh, tasks: int) -> None:
    sim.run(until=lambda: sim.steps % 200 == 0 and all_answered(mesh, tasks), max_time=200, max_steps=3_000_000)


def _plan(sim: Simulation, mesh: SimulatedMesh, rng: random.Random, arriving: float, cut: Cut) -> None:
    """Tasks at random times while ``arriving``, and what else happens to them.

    A cancel may come before its task, or right when it starts; inputs and answers again, late; events that nobody can
    read; another version of the code.
    """
    where: dict[str, tuple[str, str]] = {}
    known = [name for name in PROGRAMS if mesh.remembers or name not in MEMORY]
    deployed = rng.random() < 0.2
    begins: dict[str, float] = {}
    for number in range(TASKS):
        task_id, agent = f"T{number}", rng.choice(["root", "root", "serial"])
        key, program = rng.choice("kj"), rng.choice(known)
        if number == 0 and rng.random() < 0.7:
            program = rng.choice(TREES)  # T0 is the one that is cancelled, if any is
        elif deployed and number % 2:
            agent, program = "root", rng.choice(["seq", "patch"])  # what is deployed is another version of it
        elif mesh.remembers and number % 3 == 1:
            program = "memo"
        where[task_id] = agent, key
        at, told = rng.uniform(0, arriving), [rng.uniform(0, WITHIN) for _ in range(3)]
        begins[task_id] = at
        if number in cut.tasks:
            continue
        sim.network.later(at, _task(mesh, agent, task_id, key, program))
        if program == "listen":
            for message_id, then in zip(("m1", "m1", "m2"), told, strict=True):
                sim.network.later(then, partial(mesh.tell, agent, task_id, key, message_id))
    if not cut.extras:
        _extras(sim, mesh, rng, where, begins["T0"])
        if deployed:
            sim.network.later(rng.uniform(1, WITHIN / 2), lambda: _deploy(sim, mesh))


def _extras(
    sim: Simulation, mesh: SimulatedMesh, rng: random.Random, where: dict[str, tuple[str, str]], begins: float
) -> None:
    """``begins``: when T0 comes."""
    cancelled = rng.choice([rng.uniform(0, WITHIN / 2), max(0.0, begins + rng.uniform(-0.1, 0.3))])
    extras: list[tuple[float, float, Callable[[], None]]] = [
        (0.5, cancelled, lambda: _cancel(mesh, "T0", *where["T0"])),
        (0.4, rng.uniform(1, WITHIN - 1), lambda: _again(sim, mesh, rng)),
        (0.4, rng.uniform(1, WITHIN + 1), lambda: mesh.late_copy(rng)),
        (0.2, rng.uniform(0, WITHIN), mesh.misread),
        (0.2, rng.uniform(2, WITHIN + 2), mesh.late_state),
    ]
    for share, at, happens in extras:
        if rng.random() < share:
            sim.network.later(at, happens)


def _clean(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    """Inputs that are finished are deleted all along; once all workers of a kind are gone for a while, and the
    coordinator forgets what they had committed (rules 11 and 12)."""
    for number in range(12):
        sim.network.later(SHORT_S + number, partial(_expire, sim, mesh))
    for at in (rng.uniform(SHORT_S, WITHIN + 2), rng.uniform(WITHIN + 2, WITHIN + 8)):
        sim.network.later(at, partial(_restart_agents, sim))
    if rng.random() < 0.7:
        names = (*(f"agent-{name}" for name in AGENTS), "router", "pool-near", "tools", "desk")
        sim.network.later(rng.uniform(1, WITHIN), partial(_forget_commits, sim, rng.choice(names)))


def _overtake(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    """Owners lose their partition, do not hear of it, and have results on their way that the next owner gives too."""
    for _ in range(OVERTAKEN):
        sim.network.later(rng.uniform(0.2, WITHIN), partial(_overtaken, sim, mesh, rng))


def _overtaken(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> None:
    agents = [one for one in sim.running() if one.base.startswith("agent-") and not one.paused]
    if not agents:
        return
    process = rng.choice(agents)
    late, soon = sim.now + rng.uniform(0.3, 3.0), rng.uniform(0, 0.3)
    sim.note(process.name, "overtaken", f"in {soon:.3f}, results come at {late:.3f}")
    for agent in AGENTS:
        sim.network.stall(process, mesh.topics.results(agent), late)
    sim.network.cut(process, late)
    sim.network.later(soon, partial(_expel, sim, process.name))


def _expel(sim: Simulation, process: str) -> None:
    for group in sim.broker.groups():
        for member in group.members:
            if member.partition("/")[0] == process:
                group.remove(member, "expelled")


def _restart_agents(sim: Simulation) -> None:
    """Whoever comes now begins where the newest commits say, behind what was deleted."""
    for process in sim.running():
        if process.base.startswith("agent-") and not process.paused:
            process.kill()
            sim.network.later(0.5, partial(_start, sim, process))


def _expire(sim: Simulation, mesh: SimulatedMesh) -> None:
    """Deletes, a little later, the inputs that are below what is committed now."""
    inputs = (*map(mesh.topics.tasks, AGENTS), mesh.topics.prompts(), mesh.topics.pool_prompts("near"))
    for group in sim.broker.groups():
        for (topic, partition), committed in list(group.committed.items()):
            if topic in inputs:
                sim.network.later(SHORT_S, partial(_delete, sim, group, topic, partition, committed.offset))


def _delete(sim: Simulation, group: Group, topic: str, partition: int, below: int) -> None:
    """Below what was committed then, if it is finished still: a group that has forgotten begins at the start again."""
    committed = group.committed.get((topic, partition))
    if committed is not None and sim.broker.partition(topic, partition).start < min(below, committed.offset):
        sim.broker.truncate(topic, partition, min(below, committed.offset))


def _forget_commits(sim: Simulation, kind: str) -> None:
    gone = [process for process in sim.running() if process.base.startswith(kind)]
    for process in gone:
        process.kill()
    sim.network.later(sim.broker.session_timeout + 1.0, lambda: _come_back(sim, kind, [one.base for one in gone]))


def _come_back(sim: Simulation, kind: str, bases: list[str]) -> None:
    """With nothing committed, if nobody else has come meanwhile."""
    mains = {process.base: process.main for process in sim.processes}
    left = [process for process in sim.running() if process.base.startswith(kind)]
    groups = [group for group in sim.broker.groups() if group.name == kind.replace("-", ".", 1)]
    if not left and not any(group.members for group in groups):
        for group in groups:
            sim.note("broker", "forgets", f"what {group.name} has committed")
            group.committed.clear()
    for base in bases:
        sim.spawn(base, mains[base])


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
    if not answered or not StateChecker(mesh).settled() or not LedgerChecker(mesh).settled():
        return False
    return not mesh.remembers or MemoryChecker(mesh, PARTITIONS).settled()


def ids(mesh: SimulatedMesh, topic: str) -> set[bytes | None]:
    """The record ids of a topic."""
    known = {r.header("ce_id") for p in range(PARTITIONS) for r in mesh.sim.broker.records(topic, p)}
    return known - {b"\xff"}  # it has no name to answer to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=[*RUNS, "all"], default="mesh", help="which simulation")
    parser.add_argument("--seeds", type=seeds_of, default=range(200), help="how many, or FROM:TO")
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
    seeds = options.seeds if options.seed is None else range(options.seed, options.seed + 1)
    cut = Cut(
        _numbers(options.without_faults), _numbers(options.without_tasks), options.without_extras, options.without_noise
    )
    if options.run == "all" and cut != WHOLE:
        parser.error("what is left out has its numbers in one run: name it with --run")
    wanted = {options.run: seeds}
    if options.run == "all":
        wanted = {run: seeds if run == "mesh" else seeds[: -(-len(seeds) // 10)] for run in RUNS}
    sys.exit(sum(_tried(run, some, cut, options) for run, some in wanted.items()) > 0)


def _tried(run: str, seeds: range, cut: Cut, options: argparse.Namespace) -> int:
    """How many of the seeds failed; says which, why, and how to see it again."""
    began, bad = time.monotonic(), 0
    for outcome in _outcomes(run, seeds, cut, options.jobs):
        if options.history:
            print(outcome.history)
        for invariant, words in outcome.violations:
            print(f"seed {outcome.seed}: {invariant}: {words}")
        if outcome.violations:
            bad += 1
            print(f"replay: {replay(outcome.seed, cut, run)}", flush=True)
            if options.shrink:
                print(f"at least: {replay(outcome.seed, shrunk(outcome, run, cut), run)}", flush=True)
    print(f"{run}: {len(seeds)} seeds, {bad} failed, {time.monotonic() - began:.0f} s", flush=True)
    return bad


def seeds_of(text: str) -> range:
    """``2000``: so many from 0 on; ``17:40``: from 17 up to 39."""
    first, colon, last = text.partition(":")
    seeds = range(int(first), int(last)) if colon else range(int(first))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed at all")
    return seeds


def module_of(run: str) -> Run:
    """What makes an outcome of a seed."""
    return cast("Run", sys.modules[__name__] if run == "mesh" else importlib.import_module(RUNS[run]))


def _outcomes(run: str, seeds: Iterable[int], cut: Cut, jobs: int) -> Iterator[Showing]:
    """In the order of the seeds. What a seed raises names it."""
    one = partial(_outcome, run, cut)
    if jobs == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        yield from pool.map(one, seeds, chunksize=10)


def _outcome(run: str, cut: Cut, seed: int) -> Showing:
    try:
        return module_of(run).run_seed(seed, cut)
    except Exception as error:  # noqa: BLE001 -- whatever broke, a seed found it, and the others are to be tried
        return Outcome(seed, 0, [(type(error).__name__, " ".join(str(error).split())[:500])], "")


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(word) for word in text.split(",") if word)


def replay(seed: int, cut: Cut = WHOLE, run: str = "mesh") -> str:
    """The command that does it again."""
    words = ["python tests/simulation/simulate.py", f"--seed {seed}"]
    if run != "mesh":
        words.insert(1, f"--run {run}")
    for name, numbers in (("faults", cut.faults), ("tasks", cut.tasks)):
        if numbers:
            words.append(f"--without-{name} {','.join(map(str, sorted(numbers)))}")
    words += [f"--without-{name}" for name in ("extras", "noise") if getattr(cut, name)]
    return " ".join([*words, "--history"])


def shrunk(failed: Showing, run: str = "mesh", cut: Cut = WHOLE) -> Cut:
    """The least of it in which the same invariant breaks."""
    return Shrinking(module_of(run), failed.seed, failed.violations[0][0]).least(cut)


if __name__ == "__main__":
    main()
