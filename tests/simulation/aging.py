"""A mesh that rests for longer than its logs are kept, and goes on with what is left of them."""

from __future__ import annotations

import random
from functools import partial
from typing import Final

from programs import MEMORY, PROGRAMS
from simulated_mesh import ANSWERED_MS, SimulatedMesh

from aiosv3.streams.testing import Simulation

MORE: Final = 4
"""Tasks that come when it goes on: of the same keys, so that state, order and money go on too."""
_REST_S: Final = ANSWERED_MS / 1_000 + 1
_RESTED_S: Final = 60.0
_WITHIN: Final = 2.0


def compact_soon(sim: Simulation, rng: random.Random, within: float) -> None:
    """Logs are cleaned while everybody works, at random times: what is old enough for it, after a few seconds, are
    questions and their answers alone."""
    for _ in range(6):
        sim.network.later(rng.uniform(0, within), sim.broker.clean)


def rested(mesh: SimulatedMesh) -> bool:
    """Every input is committed, so that nobody would read one again, and nobody is away."""
    broker, processes = mesh.sim.broker, mesh.sim.processes
    here = {process.base for process in mesh.sim.running() if not process.paused}
    return here == {process.base for process in processes} and all(
        committed.offset >= broker.partition(topic, partition).end
        for group in broker.groups()
        for (topic, partition), committed in group.committed.items()
    )


def age(sim: Simulation, mesh: SimulatedMesh, rng: random.Random) -> bool:
    """Everybody stops once all is committed, logs are deleted and compacted, and everybody comes back.

    In half of the seeds the groups have forgotten what they had committed: they had no members. False: it does not
    come to rest.
    """
    for moment in (sim.broker.session_timeout + 2.0, 0.0):  # until whoever died has an heir, who has committed too
        if not sim.run(until=lambda: sim.steps % 200 == 0 and rested(mesh), max_time=_RESTED_S, max_steps=3_000_000):
            return False
        sim.run(max_time=moment)
    before = [process for process in sim.running() if not process.paused]
    for process in sim.running():
        process.kill()
    sim.run(max_time=_REST_S)
    sim.note("broker", "cleans", "what is over")
    sim.broker.clean()
    if rng.random() < 0.5:
        sim.note("broker", "forgets", "what all have committed")
        mesh.lapsed = True
        for group in sim.broker.groups():
            group.committed.clear()
    for process in before:
        sim.spawn(process.base, process.main)
    return True


def more_tasks(sim: Simulation, mesh: SimulatedMesh, rng: random.Random, first: int) -> None:
    """Tasks of the same keys, and of every program but those that need somebody to talk to."""
    known = [name for name in PROGRAMS if name != "listen" and (mesh.remembers or name not in MEMORY)]
    for number in range(first, first + MORE):
        task = rng.choice(["root", "serial"]), f"T{number}", rng.choice("kj"), rng.choice(known)
        sim.network.later(rng.uniform(0, _WITHIN), partial(mesh.produce, *task))
