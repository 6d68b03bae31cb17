"""The simulated mesh with sealing on: everything that tasks say and hear is a secret, and every byte is looked at."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from programs import AGENTS, MEMORY, PROGRAMS, Job
from shrinking import WHOLE, Cut
from simulate import QUIET, faults_of, ids, pressure_of
from simulated_mesh import MASTERS, PARTITIONS, Planned, SimulatedMesh

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyRecord
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.sealing import ANSWER
from aiosv3.streams.keys import KeyRing
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.testing import Simulation

TASKS = 5
WITHIN = 8.0
SECRETS = (b"s3cret", b"as planned", b"may s3")
"""What the model, the tools and the tasks say, and the words of an error."""


@dataclass(slots=True)
class SealedMesh(SimulatedMesh):
    """Its outsiders send plain tasks, as outsiders do; what follows is sealed."""

    def word(self) -> str:
        return f"s3cret-word-{SimulatedMesh.word(self)}"

    def task_event(self, planned: Planned) -> Outgoing:
        value = Job(program=planned.program, id=f"s3cret-{planned.id}").model_dump_json().encode()
        event = SimulatedMesh.task_event(self, planned)
        return event._replace(value=value, headers=[*event.headers, ("ce_subject", planned.key.encode())])


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a seed showed."""

    seed: int
    violations: list[tuple[str, str]]
    history: str


def run_seed(seed: int, cut: Cut = WHOLE) -> Sealed:
    """One simulation from its seed to its verdict. It has no extras."""
    mesh, sim = run_sealed(seed, cut=cut)
    found = [("leak", place) for place in leaks(mesh)]
    ended = outputs(mesh)
    found += [("lost", f"{planned.id} has no result") for planned in mesh.plan if planned.id not in ended]
    return Sealed(seed, found, str(sim))


def run_sealed(seed: int, programs: tuple[str, ...] = (), cut: Cut = WHOLE) -> tuple[SealedMesh, Simulation]:
    """One seed, faults and parking included, until every task and child has its result."""
    with Simulation(seed, QUIET if cut.noise or seed % 10 == 0 else None) as sim:
        rng = random.Random(f"sealed {seed}")
        mesh = SealedMesh(sim, pressure=pressure_of(seed), since=Clearance.INTERNAL)
        mesh.spawn(replicas=1 + seed % 2)
        sim.plan(faults_of(seed), within=WITHIN, without=cut.faults)
        some = [name for name in PROGRAMS if name != "listen" and name not in MEMORY]
        chosen = programs or tuple(rng.sample(some, TASKS))
        for number, program in enumerate(chosen):
            task = rng.choice(["root", "serial"]), f"T{number + 6}", rng.choice("kj"), program
            at = rng.uniform(0, WITHIN / 2)
            if number not in cut.tasks:
                sim.network.later(at, partial(mesh.produce, *task))
        sim.run(until=lambda: sim.now > WITHIN + 2, max_time=WITHIN + 3, max_steps=3_000_000)
        sim.quieten()
        wanted = len(chosen) - len(cut.tasks)
        sim.run(
            until=lambda: sim.steps % 200 == 0 and len(mesh.plan) == wanted and _answered(mesh),
            max_time=200,
            max_steps=3_000_000,
        )
        return mesh, sim


def _answered(mesh: SealedMesh) -> bool:
    return all(ids(mesh, mesh.topics.tasks(name)) <= ids(mesh, mesh.topics.results(name)) for name in AGENTS)


def leaks(mesh: SealedMesh, secrets: Sequence[bytes] = SECRETS) -> list[str]:
    """Where a secret stands in plain: every record of every topic but the outsiders' own, and the claim store."""
    found = [f"claim {claim}" for claim, raw in mesh.claims.stored.items() if any(word in raw for word in secrets)]
    for topic, partition, record in _records(mesh):
        if any(word in (record.value or b"") for word in secrets) and not _from_outside(record):
            found.append(f"{topic}[{partition}]@{record.offset}")
        said = b"".join(value for _, value in record.headers)
        if any(word in said for word in secrets):
            found.append(f"headers of {topic}[{partition}]@{record.offset}")
    return found


def _from_outside(record: Record) -> bool:
    return ".tasks." in record.topic and record.header("aios-grant") is None


def _records(mesh: SealedMesh) -> Any:
    broker = mesh.sim.broker
    for topic in sorted(broker.topics()):
        for partition in range(PARTITIONS if topic != mesh.topics.keys() else 1):
            for record in broker.records(topic, partition):
                yield topic, partition, record


def outputs(mesh: SealedMesh) -> dict[str, Any]:
    """What the tasks came to, opened by somebody who has the keys."""
    ring = KeyRing(_AsItStands(mesh), MASTERS)
    found: dict[str, Any] = {}
    for name in AGENTS:
        for partition in range(PARTITIONS):
            for record in mesh.sim.broker.records(mesh.topics.results(name), partition):
                if record.value is not None:
                    _open(mesh, ring, name, record.value, found)
    return found


class _AsItStands:
    """The key store, read without the network of the simulation."""

    def __init__(self, mesh: SealedMesh) -> None:
        self._mesh = mesh

    async def append(self, records: Sequence[KeyRecord]) -> None:
        assert not records

    async def news(self) -> Sequence[KeyRecord]:
        mesh = self._mesh
        values = [record.value or b"" for record in mesh.sim.broker.records(mesh.topics.keys(), 0)]
        return [mesh.codec.decode_as(KeyRecord, value) for value in values]


def _open(mesh: SealedMesh, ring: KeyRing, name: str, value: bytes, found: dict[str, Any]) -> None:
    result = mesh.schemas[name].decode_result(mesh.codec, value)
    if result.sealed is None:
        found.setdefault(result.task_id, result)
        return
    loop = asyncio.new_event_loop()
    plain = loop.run_until_complete(ring.opened(ANSWER, result.task_id, result.sealed))
    loop.close()
    content = AGENTS[name].output_adapter.validate_json(plain) if result.outcome is Outcome.OK else plain
    found.setdefault(result.task_id, replace(result, content=content))
