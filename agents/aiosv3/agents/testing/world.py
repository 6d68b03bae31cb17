"""One run of a test: workers, broker and scripts on virtual time, with at most one crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

from pydantic_core import to_json

from aiosv3.agents.agent import Agent
from aiosv3.agents.mailbox import message_record
from aiosv3.agents.opentasks import find_tasks, try_task
from aiosv3.agents.replay import Replayed
from aiosv3.agents.testing.answering import Answering
from aiosv3.agents.testing.cast import Cast
from aiosv3.agents.testing.errors import CrashChanged, MeshFailure, NeverFinishes, TaskStuck
from aiosv3.agents.testing.history import History, is_carry, is_marker
from aiosv3.agents.testing.process import WorkerProcess
from aiosv3.agents.testing.requests import Requests
from aiosv3.agents.testing.wire import ListeningBroker
from aiosv3.schemas.envelope import ResultEnvelope, TaskEnvelope
from aiosv3.schemas.headers import CE_ID
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import AVRO, event, journal_outgoing
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.tenure import Phase

_PATIENCE_S: Final = 400 * 86_400.0
"""Virtual time without a new record after which nothing more is expected."""
_BUSY: Final = 500_000
"""Callbacks without a new record after which nothing more is expected."""
_TASK_TYPE: Final = b"aiosv3.task"


Strike: TypeAlias = Callable[["World"], None]


class World:
    """Made, driven by acts (:meth:`start`, :meth:`result`, …), closed.

    ``strikes``: number of a record -> what happens as soon as it has landed, such as :meth:`crash`. Records are counted
    from 1, once the workers are ready. ``repeats``: not the first run of its test.
    """

    def __init__(self, cast: Cast, strikes: Mapping[int, Strike] | None = None, *, repeats: bool = False) -> None:
        self.cast = cast
        values = cast.values
        self.now = 0.0
        self.struck: str | None = None
        """The record that was followed by the last strike."""
        self.loop = DeterministicLoop(lambda: self.now)
        self.broker = ListeningBroker(self.clock, self.loop, values.repeat if repeats else values.learn, self._landed)
        self.agents = {agent.name: agent for agent in cast.agents}
        self.processes: list[WorkerProcess] = []
        self.requests = Requests(cast.topics)
        self.results: dict[tuple[str, str], Record] = {}
        self.deltas: list[Record] = []
        self.schemas = {name: cast.setup(agent).schemas for name, agent in self.agents.items()}
        self.history = History(cast.topics, cast.codec, self.schemas)
        self.answering = Answering(
            cast.scripts,
            cast.topics,
            cast.codec,
            self.agents.keys(),
            self.loop.call_later,
            self.broker.append,
            cast.claims.stored,
            cast.memory,
        )
        self._strikes: dict[int, Strike] = {}
        self._trouble: BaseException | None = None
        self._started = 0
        self._quiet_since = 0.0
        self._callbacks = 0
        self._create_topics()
        for name in (*self.agents, "desk"):
            self._spawn(name)
        self.settle()
        self.begun = len(self.history)
        self._strikes = {self.begun + number: strike for number, strike in (strikes or {}).items()}

    # -- time -----------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """Seconds since the epoch."""
        return self.cast.begins.timestamp() + self.now

    def wall(self) -> datetime:
        """The same as a datetime."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def settle(self) -> None:
        """Runs all that can happen without time going on."""
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        """Lets so much virtual time pass, and all that happens in it."""
        end = self.now + seconds
        while self._turn() or self._goes_on(end):
            pass
        self.now = end

    def _goes_on(self, end: float) -> bool:
        """To the next timer that is due by then; False if there is none."""
        due = self._next_due()
        if due is None or due > end:
            return False
        self._skip_to(due)
        return True

    def _run(self, done: Callable[[], bool], check: Callable[[], None]) -> bool:
        """True once ``done()``, False if nothing more is expected. ``check()`` is called whenever nothing is ready."""
        while not done():
            if self._turn():
                continue
            check()
            due = self._next_due()
            if due is None or due - self._quiet_since > _PATIENCE_S:
                return False
            self._skip_to(due)
        return True

    def _turn(self) -> bool:
        """One callback of each process, in the order in which they were started."""
        ran = self.loop.run_one()
        for process in list(self.processes):
            if process.up and process.own_loop.run_one():
                ran = True
        self._callbacks += 1
        self._raise_troubles()
        return ran

    def _next_due(self) -> float | None:
        loops = [self.loop, *(process.own_loop for process in self.processes if process.up)]
        return min((due for loop in loops if (due := loop.next_timer()) is not None), default=None)

    def _skip_to(self, due: float) -> None:
        self.now = max(self.now, due)
        self.loop.run_due()
        for process in self.processes:
            if process.up:
                process.own_loop.run_due()

    def _raise_troubles(self) -> None:
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        if self._callbacks > _BUSY:
            raise NeverFinishes(f"{_BUSY} callbacks ran and nothing was appended: something runs in circles")
        for process in self.processes:
            for failure in process.troubles() if process.up else ():
                cause = failure if isinstance(failure, BaseException) else None
                raise MeshFailure(f"worker {process.name} broke: {failure!r}") from cause

    # -- processes and their end ----------------------------------------------------------------------------------

    def _create_topics(self) -> None:
        topics = self.cast.topics
        names = [topics.prompts(), topics.dead_letters(), topics.approvals(), topics.deltas()]
        for agent in self.agents.values():
            names += [topics.tasks(agent.name), topics.journal(agent.name), topics.results(agent.name)]
            names += [topics.state(agent.name)] if agent.state_type is not None else []
        for name in names:
            self.broker.create_topic(name, 1)

    def _spawn(self, name: str) -> None:
        self._started += 1
        part = self.cast.worker(self.agents[name]) if name in self.agents else self.cast.desk()
        self.processes.append(WorkerProcess(f"{name}-{self._started}", part, self.broker, self.clock))

    def deploy(self, agent: Agent[Any, Any]) -> None:
        """Another version of an agent: its worker is killed, one of the new version takes over."""
        if agent.name not in self.agents:
            raise ValueError(f"there is no agent {agent.name!r} in this mesh to be replaced")
        self.agents[agent.name] = agent
        self.schemas[agent.name] = self.cast.setup(agent).schemas
        self._restart([process for process in self.processes if process.up and process.part.name == agent.name])

    def crash(self) -> None:
        """Kills all workers, at once; new ones start."""
        self._restart([process for process in self.processes if process.up])

    def _restart(self, processes: list[WorkerProcess]) -> None:
        for process in processes:
            process.kill()
        self.loop.call_soon(self._replace, processes)

    def _replace(self, processes: list[WorkerProcess]) -> None:
        for process in processes:
            process.bury()
            self.processes.remove(process)
            self._spawn(process.part.name)

    def close(self) -> None:
        """Frees all coroutines."""
        for process in self.processes:
            process.up = False
            process.bury()
        self.loop.close()

    # -- what lands -----------------------------------------------------------------------------------------------

    def _landed(self, record: Record, by: str) -> None:
        if record.topic == self.cast.topics.deltas():
            self.deltas.append(record)  # nothing depends on it: no place for a crash
            return
        self.history.add(record, by)
        if not is_carry(record):
            self._quiet_since, self._callbacks = self.now, 0
        kind, _, name = self.history.short(record.topic).partition(".")
        if is_marker(record):
            pass
        elif kind == "journal":
            self.requests.journaled(record)
        elif kind == "results":
            self.results.setdefault((name, (record.header(CE_ID) or b"").decode()), record)
        else:
            self._asked(record)
        strike = self._strikes.get(len(self.history))
        if strike is not None:
            self.struck = f"after record {len(self.history) - self.begun}: {self.history.words(record)}"
            strike(self)

    def _asked(self, record: Record) -> None:
        if (wrong := self.requests.take(record)) is not None:
            self._trouble = CrashChanged(wrong)
        self.loop.call_soon(self._answer, record)

    def _answer(self, record: Record) -> None:
        try:
            self.answering.take(record)
        except Exception as error:  # noqa: BLE001 -- a function of the test: its error is the test's
            self._trouble = error

    # -- acts -----------------------------------------------------------------------------------------------------

    def start(self, handle: TaskHandle, value: Any, key: str | None, headers: Mapping[str, str]) -> None:
        """A task event, in Avro as the agent's schema says."""
        setup = self.cast.setup(self.agents[handle.agent])
        task = TaskEnvelope(handle.task_id, setup.agent.input_adapter.validate_python(value))
        content = setup.schemas.encode_task(self.cast.codec, task)
        all_headers = event(_TASK_TYPE, handle.task_id, b"test", AVRO, b"")
        all_headers += [(name, text.encode()) for name, text in headers.items()]
        topic = self.cast.topics.tasks(handle.agent)
        self.broker.append(Outgoing(topic, 0, (key or handle.task_id).encode(), content, all_headers))

    def cancel(self, handle: TaskHandle) -> None:
        """A cancel by handle."""
        self.journaled(handle, JournalRecord(handle.task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED))

    def tell(self, handle: TaskHandle, name: str, value: Any, message_id: str | None) -> None:
        """A message by handle."""
        self.journaled(handle, message_record(handle.task_id, name, to_json(value).decode(), message_id))

    def journaled(self, handle: TaskHandle, record: JournalRecord) -> None:
        """A record from outside for the journal of a task."""
        topic = self.cast.topics.journal(handle.agent)
        self.broker.append(journal_outgoing(self.cast.codec, topic, handle.partition, record, b"test"))

    def result(self, handle: TaskHandle) -> ResultEnvelope[Any] | None:
        """Runs until the task has its result and nothing more happens at that time; None if it never ends."""
        where = (handle.agent, handle.task_id)
        if not self._run(lambda: where in self.results, partial(self._raise_stuck, handle)):
            return None
        self.settle()
        found: ResultEnvelope[Any] = self.history.decoded(self.results[where])
        return found

    def _raise_stuck(self, handle: TaskHandle) -> None:
        for process in self.processes:
            stopped = [tenure.reason for tenure in process.tenures if tenure.phase is Phase.STOPPED]
            for reason in (*process.processor.refused.values(), *stopped) if process.up else ():
                raise MeshFailure(f"worker {process.name} has stopped: {reason}")
        for name, reason in self.stuck().items():
            if name == handle.task_id or name.startswith(f"{handle.task_id}/"):
                raise TaskStuck(f"task {name} is stuck: {reason}")

    def stuck(self) -> dict[str, str]:
        """Task id -> why its code does not fit its journal."""
        tenures = (tenure for process in self.processes if process.up for tenure in process.tenures)
        return {name: reason for tenure in tenures for name, reason in tenure.stuck().items()}

    # -- what it looks like now -----------------------------------------------------------------------------------

    def replayed(self, handle: TaskHandle) -> Replayed | None:
        """A task as its records tell; None before its event is there, or if this mesh does not run its agent."""
        return next((one for name, one in self._replayed(handle.agent) if name == handle.task_id), None)

    def _replayed(self, name: str) -> Iterator[tuple[str, Replayed]]:
        agent = self.agents.get(name)
        if agent is None:
            return
        setup, log = self.cast.setup(agent), self.history.log(name)
        for found in find_tasks(log, setup):
            tried = try_task(found, log, setup)
            if tried.replayed is not None:
                yield tried.task_id, tried.replayed

    def unanswered(self, handle: TaskHandle) -> list[str]:
        """Of a task and those below it that run here: which steps have no answer, a line for each task."""
        return [
            f"task {name} had no answer for {replayed.unanswered()}"
            for agent in self.agents
            for name, replayed in self._replayed(agent)
            if replayed.waiting and (name == handle.task_id or name.startswith(f"{handle.task_id}/"))
        ]
