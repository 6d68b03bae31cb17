"""Two stages for agents: one task as a pure function of its journal, and workers on the double in virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from aiosv3.agents.agent import Agent, Limits, Order
from aiosv3.agents.context import Context
from aiosv3.agents.facts import DEADLINE_STEP, Finish, JournalEntry, Task, Wishes
from aiosv3.agents.steps import Step
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.setup import AgentSetup, ParkingPolicy
from aiosv3.agents.worker.tenure import AgentTenure
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import Delta
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import CANCEL_TYPE, CE_ID, CE_TYPE, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, ModelRequest, Outcome, StepFailure, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import answer_record, journal_outgoing, reply_to
from aiosv3.streams.commit import Commit
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Appended, Committed, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import OWNER_TYPE, Phase, Tenure, Wiring
from aiosv3.streams.testing import Host, MemoryBroker, MemoryClaims, MemoryLog, MemoryMember, Network, TopicSettings
from aiosv3.streams.testing.network import Arrive, Lane

SECRET: Final = b"a secret of tests"
EPOCH_MS: Final = 1_750_000_000_000
OWN_KEPT_MS: Final = 100_000
"""On this stage logs may be cut above what is so old."""
OWNER: Final = OWNER_TYPE.encode()
CANCEL: Final = CANCEL_TYPE.encode()
Program = Callable[[Context, Any], Awaitable[Any]]
Header = tuple[str, bytes]


def make_agent(
    program: Program,
    name: str = "worker",
    *,
    version: str = "v1",
    order: Order = Order.START,
    limits: Limits | None = None,
    types: tuple[Any, Any] = (str, str),
    **settings: Any,
) -> Agent[Any, Any]:
    """An agent without the decorator, so that tests can use closures and choose the version."""
    return Agent(name, program, *types, version=version, order=order, limits=limits or Limits(), **settings)


# -- one task, pure ---------------------------------------------------------------------------------------------------


class Play:
    """One task fed by hand. ``asked``: every step that was taken, in order; ``journal``: what was fed."""

    def __init__(
        self,
        program: Program | Agent[Any, Any],
        value: Any = "in",
        *,
        task_id: str = "t",
        grant: Grant | None = None,
        key: str | None = None,
        begin: bool = True,
        stream: int | None = None,
        **settings: Any,
    ) -> None:
        self.agent = program if isinstance(program, Agent) else make_agent(program, **settings)
        grant = grant or Grant("acme", task_id, Clearance.INTERNAL, depth=1)
        self.task = Task(task_id, key, 7, EPOCH_MS, grant, None, b"", value, wishes=Wishes(stream=stream))
        self.run = TaskRun(self.agent, self.task, SECRET)
        self.journal: list[JournalEntry] = []
        self.asked: list[Step] = []
        self.steps: dict[str, Any] = {}
        if begin:
            self.run.start()
            self.take()

    def take(self) -> list[Step]:
        new = self.run.take()
        self.asked += new
        self.steps.update(self.run.waiting)
        return new

    @property
    def ended(self) -> Finish:
        assert self.run.finish is not None, "the task has not ended"
        return self.run.finish

    @property
    def failed(self) -> StepFailure:
        assert self.ended.failure is not None, "the task has not failed"
        return self.ended.failure

    def ids(self) -> list[str]:
        return [step.id for step in self.asked]

    def feed(self, record: JournalRecord, *, at: int | None = None) -> list[Step]:
        """Applies one record, a second after the one before (or ``at`` so many ms after the task); the new steps."""
        offset = 100 + len(self.journal)
        moment = EPOCH_MS + (1000 * (len(self.journal) + 1) if at is None else at)
        self.journal.append(JournalEntry(offset, moment, record))
        self.run.feed(self.journal[-1])
        return self.take()

    def record(self, kind: JournalKind, step_id: str | None, **fields: Any) -> JournalRecord:
        """A journal record of this task; for a step that waits with its hash, and its token if it is an answer."""
        step = self.steps.get(step_id or "")
        fields.setdefault("request_hash", step.hash if step is not None else None)
        if kind is JournalKind.ANSWER and step is not None:
            fields.setdefault("token", self.run.token(step))
        return JournalRecord(
            task_id=self.task.id,
            task_offset=self.task.offset,
            step_id=step_id,
            kind=kind,
            outcome=fields.pop("outcome", Outcome.OK),
            **fields,
        )

    def answer(self, step_id: str, text: str = "ok", *, cost: int = 0, **fields: Any) -> list[Step]:
        fields.setdefault("content", json.dumps({"text": text, "tool_calls": None}))
        return self.feed(self.record(JournalKind.ANSWER, step_id, usage=Usage(1, 10, 1, 0, cost), **fields))

    def result(self, step_id: str, value: Any, **fields: Any) -> list[Step]:
        return self.feed(self.record(JournalKind.ANSWER, step_id, content=json.dumps(value), **fields))

    def value(self, step_id: str, value: Any = None, **fields: Any) -> list[Step]:
        return self.feed(self.record(JournalKind.VALUE, step_id, content=json.dumps(value), **fields))

    def fail(self, step_id: str, failure: StepFailure | None, kind: JournalKind = JournalKind.ANSWER) -> list[Step]:
        return self.feed(self.record(kind, step_id, outcome=Outcome.FAILED, error=failure))

    def fire(self, step_id: str = DEADLINE_STEP) -> list[Step]:
        return self.feed(self.record(JournalKind.TIMER, step_id))

    def cancel(self) -> list[Step]:
        return self.feed(self.record(JournalKind.CANCEL, None, outcome=Outcome.CANCELLED))

    def started(self, version: str = "v1") -> list[Step]:
        return self.feed(self.record(JournalKind.STARTED, None, code_version=version))

    def replay(self, program: Program | Agent[Any, Any] | None = None, *, upto: int | None = None) -> Play:
        """A new run fed with the same journal at once, as a new owner of the partition does."""
        agent = self.agent if program is None else program
        again = Play(
            agent, self.task.value, task_id=self.task.id, grant=self.task.grant, key=self.task.key, begin=False
        )
        again.run.start()
        for entry in self.journal[:upto]:
            again.journal.append(entry)
            again.run.feed(entry)
        again.take()
        return again

    def view(self) -> tuple[Any, ...]:
        run = self.run
        waiting = {step_id: (step.hash, step.first_sent) for step_id, step in run.waiting.items()}
        return run.finish, run.stuck, waiting, run.usage, run.now


@pytest.fixture
def play() -> Iterator[Callable[..., Play]]:
    made: list[Play] = []

    def make(*args: Any, **settings: Any) -> Play:
        made.append(Play(*args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.run.close()


# -- workers on the double --------------------------------------------------------------------------------------------


class Held:
    def __init__(self, wire: Wire, lane: tuple[str, ...]) -> None:
        self._wire = wire
        self.lane = lane
        self.messages: list[tuple[Host, Arrive]] = []

    def release(self) -> None:
        self._wire.holding.remove(self)
        for host, arrive in self.messages:
            host.call(arrive)


class Wire(Network):
    def __init__(self, loop: DeterministicLoop) -> None:
        super().__init__()
        self._loop = loop
        self.holding: list[Held] = []

    def time(self) -> float:
        return self._loop.time()

    def later(self, delay: float, function: Arrive) -> None:
        self._loop.call_later(delay, function)

    def hold(self, *lane: str) -> Held:
        """``append``/``ack`` with a topic, ``fetch`` with a topic, ``group``."""
        self.holding.append(Held(self, lane))
        return self.holding[-1]

    def to_broker(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        for held in self.holding:
            if (lane or ())[: len(held.lane)] == held.lane:
                held.messages.append((host, arrive))
                return
        host.call(arrive)

    to_host = to_broker


class Worker:
    """A process that runs one agent."""

    def __init__(self, stage: Stage, agent: Agent[Any, Any], name: str, live_limit: int, store: SchemaStore) -> None:
        self.stage = stage
        self.agent = agent
        self.name = name
        self.host = Host(name, stage.loop)
        self.log = MemoryLog(stage.broker, self.host)
        topics = stage.topics
        inputs, journal = topics.tasks(agent.name), topics.journal(agent.name)
        self.member = MemoryMember(stage.broker, self.log, f"agent.{agent.name}", inputs, journal)
        metrics = MetricsCatalogue().processor(name)
        clock = stage.clock_ms
        self.wiring = Wiring(
            name,
            inputs,
            topics.results(agent.name),
            journal,
            self.log,
            self.member,
            clock,
            metrics,
            own_kept_ms=OWN_KEPT_MS,
        )
        schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, topics, agent.state_type)
        stage.finish(schemas.register(store))
        if agent.state_type is not None:
            kept = TopicSettings(cleanup="compact", compaction_lag_ms=24 * 3600 * 1000)
            stage.broker.create_topic(topics.state(agent.name), 1, kept)
        claims = stage.claims
        self.setup = AgentSetup(
            agent, schemas, Codec(store), store, topics, SECRET, live_limit=live_limit, claims=claims
        )
        self.processor = Processor(self.wiring, self._open, commit_every=1.0)

    def _open(self, partition: int, committed: Committed | None, start: Commit) -> Tenure:
        return AgentTenure(self.wiring, partition, committed, start, setup=self.setup)

    @property
    def tenure(self) -> AgentTenure:
        tenure = self.processor.tenures[0]
        assert isinstance(tenure, AgentTenure)
        return tenure

    @property
    def running(self) -> bool:
        tenure = self.processor.tenures.get(0)
        return tenure is not None and tenure.phase is Phase.RUNNING and tenure.marker_seen

    def squeezed(self, *, set_room: int | None = None, **policy: Any) -> Worker:
        """Parks as this ``ParkingPolicy`` says; ``set_room``: characters for the set of finished inputs in a commit."""
        self.setup = replace(self.setup, parking=ParkingPolicy(**policy))
        if set_room is not None:
            self.wiring = replace(self.wiring, set_room=set_room)
        return self

    def start(self) -> Worker:
        self.stage.finish(self.processor.start())
        self.stage.run(lambda: self.running)
        self.stage.settle()
        return self

    def kill(self) -> None:
        self.host.kill()
        self.stage.broker.group(f"agent.{self.agent.name}", self.wiring.input_topic).remove(self.name, "killed")


class Stage:
    """Virtual time, one loop, one broker with one partition a topic."""

    def __init__(self, agents: tuple[str, ...] = ("worker", "child")) -> None:
        self.now = 0.0
        self.loop = DeterministicLoop(lambda: self.now)
        self.wire = Wire(self.loop)
        self.seen: list[tuple[str, str, str]] = []
        clock = lambda: EPOCH_MS / 1000 + self.now  # noqa: E731
        self.broker = MemoryBroker(clock, self.wire, watch=lambda *event: self.seen.append(event))
        self.topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self.claims = MemoryClaims()
        topics = self.topics
        for name in agents:
            for topic in (topics.tasks(name), topics.journal(name), topics.results(name)):
                self.broker.create_topic(topic, 1)
        self.broker.create_topic(topics.prompts(), 1)
        self.broker.create_topic(topics.dead_letters(), 1)
        self.broker.create_topic(topics.deltas(), 1)

    # -- time

    def clock_ms(self) -> int:
        return EPOCH_MS + int(self.now * 1000)

    def run(self, until: Callable[[], bool], within: float = 7200.0) -> None:
        """Runs until the predicate holds; fails after ``within`` virtual seconds."""
        end = self.now + within
        while not until():
            self._no_failures()
            if self.loop.run_one():
                continue
            when = self.loop.next_timer()
            assert when is not None, "nothing left to happen, and the condition does not hold"
            assert when <= end, f"the condition did not come to hold within {within} virtual seconds"
            self.now = max(self.now, when)
            self.loop.run_due()
        self._no_failures()

    def settle(self) -> None:
        self.loop.run_until_idle(200_000)
        self._no_failures()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        self.loop.call_at(end, lambda: None)
        self.run(lambda: self.now >= end, seconds + 1)
        self.settle()

    def finish(self, coro: Any) -> Any:
        task = self.loop.create_task(coro)
        self.run(task.done)
        return task.result()

    def _no_failures(self) -> None:
        if self.loop.exceptions:
            context = self.loop.exceptions.pop()
            raise AssertionError(f"a callback failed: {context}") from context.get("exception")

    # -- what is written

    def worker(
        self, program: Program | Agent[Any, Any], process: str = "a", *, live_limit: int = 1000, **settings: Any
    ) -> Worker:
        store = settings.pop("store", self.store)
        agent = program if isinstance(program, Agent) else make_agent(program, **settings)
        return Worker(self, agent, process, live_limit, store)

    def task(
        self, task_id: str, value: Any = "in", key: str | None = "k", *, headers: Iterable[Header] = (), raw: Any = None
    ) -> int:
        body = json.dumps(value).encode() if raw is None else raw
        all_headers = [(CE_ID, task_id.encode()), *headers]
        topic = self.topics.tasks("worker")
        return self.broker.append(Outgoing(topic, 0, key.encode() if key else None, body, all_headers)).offset

    def journaled(self, record: JournalRecord, agent: str = "worker") -> Appended:
        return self.broker.append(journal_outgoing(self.codec, self.topics.journal(agent), 0, record, b"somebody"))

    def cancel(self, task_id: str) -> Appended:
        return self.journaled(JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED))

    def answer(self, request: Record, text: str = "ok", **fields: Any) -> Appended:
        raw_reply, raw_route = request.header(REPLY), request.header(ROUTE)
        assert raw_reply is not None
        assert raw_route is not None
        reply = reply_to(Reply.decode(raw_reply))
        assert reply is not None
        content = json.dumps({"text": text, "tool_calls": None})
        record = answer_record(reply, Route.decode(raw_route).hash, Outcome.OK, content, usage=Usage(1, 10, 1, 0, 5))
        return self.journaled(replace(record, **fields))

    def shown(self) -> list[tuple[str, str, Any]]:
        """What was shown of progress: task, id of the call, and its text, or else its fraction."""
        deltas = [self.codec.decode_as(Delta, one.value or b"") for one in self.broker.records(self.topics.deltas())]
        return [(one.task_id, one.step_id, one.fraction if one.content is None else one.content) for one in deltas]

    def limit_bytes(self, topic: str, most: int) -> None:
        self.broker._settings[topic] = TopicSettings(max_message_bytes=most)

    # -- what is there

    def prompts(self) -> list[Record]:
        """Model requests; what the router is told of cancelled trees is left out."""
        return [record for record in self.broker.records(self.topics.prompts(), 0) if record.header(CE_TYPE) != CANCEL]

    def asked(self) -> list[str]:
        return [self.codec.decode_as(ModelRequest, r.value or b"").request_id for r in self.prompts()]

    def children(self) -> list[Record]:
        return list(self.broker.records(self.topics.tasks("child"), 0))

    def journal(self, agent: str = "worker") -> list[JournalRecord]:
        found = self.broker.records(self.topics.journal(agent), 0)
        return [self.codec.decode_as(JournalRecord, r.value or b"") for r in found if r.header(CE_TYPE) != OWNER]

    def noted(self) -> list[tuple[str, str | None]]:
        return [(record.kind.value, record.step_id) for record in self.journal()]

    def results(self, worker: Worker) -> list[Any]:
        found = self.broker.records(worker.wiring.own_topic, 0)
        return [worker.setup.schemas.decode_result(worker.setup.codec, record.value or b"") for record in found]

    def dead(self) -> list[Record]:
        return list(self.broker.records(self.topics.dead_letters(), 0))

    def committed(self) -> Commit | None:
        topic = self.topics.tasks("worker")
        found = self.broker.group("agent.worker", topic).committed.get((topic, 0))
        return None if found is None else Commit.decode(found)

    def commit(self, commit: Commit) -> None:
        topic = self.topics.tasks("worker")
        self.broker.group("agent.worker", topic).committed[topic, 0] = commit.encode()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage for agents ``worker`` and ``child``."""
    made = Stage()
    yield made
    made.loop.close()
