"""State under faults: a task begins with what the one before it of its key left; the newest ends up on top."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from programs import Done
from simulated_mesh import PARTITIONS, SimulatedMesh

from aiosv3.agents.keyed import KeyedState
from aiosv3.agents.worker.admission import identify
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.state import StateChange, StateRecord
from aiosv3.streams.log import Record

AGENT = "serial"


class StateChecker:
    """``before``: task id -> the ids that its state held when it began, as the first results say."""

    def __init__(self, mesh: SimulatedMesh) -> None:
        self.mesh = mesh
        self.before: dict[str, list[str]] = {}
        self._left: dict[str, list[str]] = {}
        for tasks in self._lanes().values():
            ids: list[str] = []
            for task_id in tasks:
                self.before[task_id] = list(ids)
                result = self._first_result(task_id)
                if result is not None and mesh.schemas[AGENT].decode_result(mesh.codec, result).outcome is Outcome.OK:
                    ids.append(task_id)
                self._left[task_id] = list(ids)

    def load(self, agent: str, task_id: str) -> Callable[[], KeyedState] | None:
        """What a replay of the task begins with."""
        if agent != AGENT:
            return None
        return partial(KeyedState, Done, self._record(self.before[task_id])) if self.before[task_id] else None

    def violations(self) -> Iterator[tuple[str, str]]:
        """What contradicts the promise, as ``(invariant, words)``."""
        for task_id, left in self._left.items():
            value = self._first_result(task_id)
            change = None if value is None else self.mesh.schemas[AGENT].change(self.mesh.codec, value)
            if change is not None and change.content.ids != left:
                yield "state", f"{task_id} left {change.content.ids}, not {left}"
        for key, tasks in self._lanes().items():
            last = self._on_topic(key)
            wanted = self._left[tasks[-1]]
            if (last or []) != wanted:
                yield "state_topic", f"key {key} ends with {last}, not with {wanted}"

    def settled(self) -> bool:
        """Nothing stands above the newest state of its key."""
        return not any(invariant == "state_topic" for invariant, _ in self.violations())

    def _lanes(self) -> dict[str, list[str]]:
        """Key -> its tasks, in offset order, each once."""
        lanes: dict[str, list[str]] = defaultdict(list)
        for record in self._records(self.mesh.topics.tasks(AGENT)):
            identity = identify(record, AGENT)
            if identity.key is not None and identity.id not in lanes[identity.key]:
                lanes[identity.key].append(identity.id)
        return lanes

    def _records(self, topic: str) -> Iterator[Record]:
        for partition in range(PARTITIONS):
            yield from self.mesh.sim.broker.records(topic, partition)

    def _first_result(self, task_id: str) -> bytes | None:
        name = task_id.encode()
        found = (r.value for r in self._records(self.mesh.topics.results(AGENT)) if r.header("ce_id") == name)
        return next(found, None)

    def _on_topic(self, key: str) -> list[str] | None:
        """The last record of the key: what compaction keeps."""
        schemas, name = self.mesh.schemas[AGENT].state, key.encode()
        values = [r.value for r in self._records(self.mesh.topics.state(AGENT)) if r.key == name]
        if not values or values[-1] is None or schemas is None:
            return None
        ids: list[str] = schemas.decode(self.mesh.codec, values[-1]).state.content.ids
        return ids

    def _record(self, ids: list[str]) -> StateRecord:
        return StateRecord("", -1, -1, StateChange(Done(ids=list(ids)), clearance=Clearance.INTERNAL))
