"""Tasks and their runs, out of task events and out of carries."""

from __future__ import annotations

from functools import partial

from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.admission import Identity, admitted, grant_of, identify, input_of, wishes_of
from aiosv3.agents.worker.carry import decode_entries, task_record
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.ownership import Ownership
from aiosv3.agents.worker.parked import Parked
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.agents.worker.state import StateTable, key_of_state
from aiosv3.schemas.headers import Grant
from aiosv3.schemas.records import Carry
from aiosv3.streams.log import Record


class Building:
    """Builds for one partition of one agent. ``inputs``: topic of its tasks; ``states``: of agents that keep state."""

    def __init__(self, setup: AgentSetup, inputs: str, partition: int, states: StateTable | None) -> None:
        self._setup = setup
        self._inputs = inputs
        self._partition = partition
        self._states = states
        self.ownership = Ownership()
        """Who has owned the journal partition, as its markers say."""

    def identity(self, record: Record) -> Identity:
        """Who a task event is. Raises WireError."""
        return identify(record, self._setup.agent.name)

    def task(self, record: Record, identity: Identity) -> Task:
        """The task of an event. Raises WireError, UnresolvedSchema, UnresolvedKey."""
        setup, record = self._setup, unfolded(record)
        seals = setup.seals
        grant = seals.admitted(grant_of(record, identity, setup.agent, setup.defaults), record)
        value = input_of(record, setup.schemas, setup.codec, lambda raw: seals.value(identity.id, raw))
        if self._states is not None:
            key_of_state(record)
        keys = seals.keys(grant, max(grant.clearance, setup.agent.clearance), record.timestamp)
        return admitted(record, identity, grant, value, wishes_of(record), keys)

    def run(self, task: Task) -> TaskRun:
        """A run of it that has not started."""
        load = None if self._states is None else partial(self._states.open, task.key or "")
        return TaskRun(self._setup.agent, task, self._setup.secret, load, self.ownership)

    def entries(self, live: LiveTask) -> list[JournalEntry]:
        """The whole journal of a task, as far as it was read. Raises WireError, UnresolvedSchema."""
        return decode_entries(live.journal, self._setup.codec, self._setup.seals.opened)

    def event(self, parked: Parked, carry: Carry) -> Record:
        """The event of a parked task, as it was received."""
        return task_record(carry, self._inputs, self._partition, parked.offset)

    def revive(self, parked: Parked, carry: Carry) -> LiveTask:
        """A parked task, awake and not begun, with the entries of its carry. Raises WireError, UnresolvedSchema."""
        record = self.event(parked, carry)
        task = self.task(record, self.identity(record))
        entries = decode_entries(carry.entries, self._setup.codec, self._setup.seals.opened)
        live = LiveTask(record, task, self.run(task), carry.upto, entries, list(carry.entries), parked=parked)
        live.own_upto = parked.own_upto
        return live

    def unreadable(self, record: Record, identity: Identity, first_journal: int) -> LiveTask:
        """A task whose event says who it is and no more: it gets a failed result."""
        defaults = self._setup.defaults
        task = admitted(record, identity, Grant(defaults.tenant, identity.id, defaults.clearance), None)
        run = TaskRun(self._setup.agent, task, self._setup.secret)
        return LiveTask(record, task, run, first_journal, begun=True, rejected=True)
