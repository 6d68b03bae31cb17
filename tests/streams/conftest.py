"""A stage for the stream runtime: workers, a broker and a wire on one loop; time is virtual, the test decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import pytest

from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.headers import CE_ID, CE_SOURCE, CE_TYPE
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import EffectorTenure, Request, Unresolved
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Appended, Committed, Headers, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import OWNER_TYPE, Tenure, Wiring
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog, MemoryMember, Network, TopicSettings
from aiosv3.streams.testing.network import Arrive, Lane

T = TypeVar("T")
EPOCH_S: Final = 1_750_000_000.0  # the wall clock at virtual time 0
GROUP: Final = "workers"
TASKS, OWN, JOURNAL, REPLIES, DEAD = "tasks", "answers", "journal", "replies", "dead-letters"
FIRST_SENT: Final = "first-sent"
POISON: Final = b"poison"


OWN_KEPT_MS: Final = 1_800_000
"""On this stage logs may be cut above what is half an hour old."""


class Held:
    """Messages that the test keeps on the wire: of a lane that begins with ``lane``, of one host or of any."""

    def __init__(self, wire: Wire, lane: tuple[str, ...], way: str | None, host: str | None) -> None:
        self._wire = wire
        self._lane = lane
        self._way = way
        self._host = host
        self.messages: list[tuple[Host, Arrive]] = []

    def takes(self, way: str, host: Host, lane: Lane) -> bool:
        known = lane or ("question",)
        return known[: len(self._lane)] == self._lane and self._way in {None, way} and self._host in {None, host.name}

    def release(self) -> None:
        """Delivers what was held, in order, and holds no more."""
        self._wire.holding.remove(self)
        for host, arrive in self.messages:
            host.call(arrive)

    def drop(self) -> None:
        """Loses what was held, and holds no more."""
        self._wire.holding.remove(self)


class Wire(Network):
    """Everything arrives at the next turn, in order, unless the test holds its lane."""

    def __init__(self, loop: DeterministicLoop) -> None:
        super().__init__()
        self._loop = loop
        self.holding: list[Held] = []
        self.batch = 500
        """The most records that one fetch returns."""

    def time(self) -> float:
        return self._loop.time()

    def later(self, delay: float, function: Arrive) -> None:
        self._loop.call_later(delay, function)

    def hold(self, *lane: str, way: str | None = None, host: str | None = None) -> Held:
        """``lane`` as in the double: ``append``/``ack`` with a topic, ``fetch``, ``group``, ``commit``, ``question``.

        ``way``: ``to`` or ``from`` the broker, None for both.
        """
        held = Held(self, lane, way, host)
        self.holding.append(held)
        return held

    def fetch_limit(self) -> int:
        return self.batch

    def to_broker(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        self._carry("to", host, lane, arrive)

    def to_host(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        self._carry("from", host, lane, arrive)

    def _carry(self, way: str, host: Host, lane: Lane, arrive: Arrive) -> None:
        for held in self.holding:
            if held.takes(way, host, lane):
                held.messages.append((host, arrive))
                return
        host.call(arrive)


Work: TypeAlias = Callable[[Request, int], Outgoing | Awaitable[Outgoing]]


class Script:
    """An effector whose every part a test may replace. ``calls``: the ids that ``work`` was asked for."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.calls: list[str] = []
        self.epochs: list[int] = []
        self.on_work: Work = lambda request, epoch: self.answer(request)
        self.on_read: Callable[[Record], Unresolved | None] = lambda record: None
        self.on_forward: Callable[[bytes], Outgoing | None] | None = None
        self.refuses = True
        self.gates: dict[str, Any] = {}

    def read(self, record: Record) -> Request | Unresolved:
        if record.value == POISON:
            raise MalformedValue("nobody can read this")
        waiting = self.on_read(record)
        if waiting is not None:
            return waiting
        name, sent = record.header(CE_ID), record.header(FIRST_SENT)
        assert name is not None
        assert sent is not None
        return Request(name.decode(), int(sent), record, record.value)

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        self.calls.append(request.id)
        self.epochs.append(epoch)
        return self.on_work(request, epoch)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        value = answer.value or b""
        if self.on_forward is not None:
            return self.on_forward(value)
        return Outgoing(REPLIES, 0, None, value, [(CE_ID, request.id.encode())])

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        return self.answer(request, f"refused: {type(error).__name__}".encode()) if self.refuses else None

    def answer(self, request: Request, value: bytes | None = None) -> Outgoing:
        """The own-log record for ``request``; its value says who made it."""
        made = value if value is not None else f"{request.id} by {self.name}".encode()
        headers: Headers = [(CE_ID, request.id.encode()), (CE_SOURCE, provenance(request.record))]
        return Outgoing("", None, None, made, headers)

    # -- answers that wait for the test

    def gated(self, request: Request, epoch: int) -> Awaitable[Outgoing]:
        """As ``on_work``: each request waits for :meth:`open`."""
        gate = self.gates[request.id] = self.stage.loop.create_future()
        return self._through(gate, request)

    async def _through(self, gate: Awaitable[None], request: Request) -> Outgoing:
        await gate
        return self.answer(request)

    def open(self, *ids: str) -> None:
        for name in ids:
            self.gates.pop(name).set_result(None)


class Worker:
    """A process with one processor."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        *,
        limit: int = 1_000,
        commit_every: float = 1.0,
        inbox_limit: int = 2_000,
        journal: bool = False,
        open_tenure: Callable[[Wiring, int, Committed | None, Commit], Tenure] | None = None,
    ) -> None:
        self.stage = stage
        self.name = name
        self.host = Host(name, stage.loop)
        self.log = MemoryLog(stage.broker, self.host)
        topic = JOURNAL if journal else None
        self.member = MemoryMember(stage.broker, self.log, GROUP, TASKS, topic)
        self.effector = Script(stage, name)
        self.catalogue = MetricsCatalogue()
        self.metrics = self.catalogue.processor(GROUP)
        self.wiring = Wiring(
            GROUP,
            TASKS,
            OWN,
            topic,
            self.log,
            self.member,
            stage.clock_ms,
            self.metrics,
            inbox_limit,
            own_kept_ms=OWN_KEPT_MS,
        )
        self._limit = limit
        opener = self._effector_tenure if open_tenure is None else partial(open_tenure, self.wiring)
        self.opened: list[Tenure] = []
        self.processor = Processor(self.wiring, partial(self._open, opener), commit_every=commit_every)

    def _open(
        self,
        opener: Callable[[int, Committed | None, Commit], Tenure],
        partition: int,
        committed: Committed | None,
        start: Commit,
    ) -> Tenure:
        tenure = opener(partition, committed, start)
        self.opened.append(tenure)
        return tenure

    def _effector_tenure(self, partition: int, committed: Committed | None, start: Commit) -> Tenure:
        return EffectorTenure(
            self.wiring,
            partition,
            committed,
            start,
            effector=self.effector,
            limit=self._limit,
            dead_letters=DEAD,
        )

    @property
    def tenure(self) -> Tenure:
        """The ownership of partition 0."""
        return self.processor.tenures[0]

    @property
    def running(self) -> bool:
        """True when partition 0 was restored."""
        tenure = self.processor.tenures.get(0)
        return tenure is not None and tenure.phase.value == "running"

    @property
    def calls(self) -> list[str]:
        return self.effector.calls

    def start(self) -> Worker:
        """Joins; returns when partition 0 is restored."""
        self.stage.finish(self.processor.start())
        self.stage.run(lambda: self.running)
        return self

    def metric(self, name: str) -> float:
        """The value of ``aiosv3_<name>`` of this processor."""
        value = self.catalogue.registry.get_sample_value(f"aiosv3_{name}", {"processor": GROUP})
        assert value is not None
        return value


class Stage:
    """Virtual time, one loop, one broker. Topics: tasks, answers (the own log), journal, replies, dead-letters."""

    def __init__(self, partitions: int = 1) -> None:
        self.now = 0.0
        self.loop = DeterministicLoop(lambda: self.now)
        self.wire = Wire(self.loop)
        self.seen: list[tuple[str, str, str]] = []
        self.broker = MemoryBroker(lambda: EPOCH_S + self.now, self.wire, watch=lambda *event: self.seen.append(event))
        for topic in (TASKS, OWN, JOURNAL):
            self.broker.create_topic(topic, partitions)
        self.broker.create_topic(REPLIES, 1)
        self.broker.create_topic(DEAD, 1)

    # -- time

    def clock_ms(self) -> int:
        return int((EPOCH_S + self.now) * 1000)

    def run(self, until: Callable[[], bool], within: float = 120.0) -> None:
        """Runs until the predicate holds (asked before each step); fails after ``within`` virtual seconds."""
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
        """Runs what is ready; time stands still."""
        self.loop.run_until_idle(200_000)
        self._no_failures()

    def advance(self, seconds: float) -> None:
        """Runs for so many virtual seconds."""
        end = self.now + seconds
        self.loop.call_at(end, lambda: None)
        self.run(lambda: self.now >= end, seconds + 1)
        self.settle()

    def finish(self, coro: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end and returns its result."""
        task = self.loop.create_task(coro)
        self.run(task.done)
        return task.result()

    def _no_failures(self) -> None:
        if self.loop.exceptions:
            context = self.loop.exceptions.pop()
            raise AssertionError(f"a callback failed: {context}") from context.get("exception")

    # -- what is on the topics

    def worker(self, name: str, **settings: Any) -> Worker:
        """A worker that has not joined yet."""
        return Worker(self, name, **settings)

    def append(self, record: Outgoing) -> Appended:
        return self.broker.append(record)

    def request(self, name: str, value: bytes = b"", *, first_sent: int | None = None, partition: int = 0) -> int:
        """Appends a request, first sent now unless given (ms); returns its offset."""
        sent = self.clock_ms() if first_sent is None else first_sent
        headers: Headers = [(CE_ID, name.encode()), (FIRST_SENT, str(sent).encode())]
        return self.append(Outgoing(TASKS, partition, name.encode(), value, headers)).offset

    def own_record(self, name: str, input_offset: int, value: bytes, partition: int = 0) -> Appended:
        """An answer that somebody else writes to the own log."""
        source = f"{TASKS}/{partition}/{input_offset}".encode()
        headers: Headers = [(CE_ID, name.encode()), (CE_SOURCE, source)]
        return self.append(Outgoing(OWN, partition, None, value, headers))

    def foreign_marker(self, topic: str = OWN, partition: int = 0) -> Appended:
        """The ownership marker of a worker that is not on this stage."""
        headers: Headers = [(CE_ID, b"somebody-else"), (CE_TYPE, OWNER_TYPE.encode())]
        return self.append(Outgoing(topic, partition, None, None, headers))

    def values(self, topic: str, partition: int | None = None) -> list[bytes | None]:
        """The values of a topic, without those of markers."""
        return [r.value for r in self.broker.records(topic, partition) if r.header(CE_TYPE) != OWNER_TYPE.encode()]

    def markers(self, topic: str = OWN) -> list[int]:
        """The offsets of the ownership markers in partition 0."""
        return [r.offset for r in self.broker.records(topic, 0) if r.header(CE_TYPE) == OWNER_TYPE.encode()]

    def replies(self) -> list[bytes | None]:
        return self.values(REPLIES)

    def committed(self, partition: int = 0) -> Commit | None:
        """What the group has committed, decoded."""
        found = self.broker.group(GROUP, TASKS).committed.get((TASKS, partition))
        return None if found is None else Commit.decode(found)

    def commit(self, commit: Commit | Committed, partition: int = 0) -> None:
        """Puts a commit there, as an earlier owner would have."""
        found = commit.encode() if isinstance(commit, Commit) else commit
        self.broker.group(GROUP, TASKS).committed[TASKS, partition] = found

    def commits(self) -> list[str]:
        """The accepted commits so far, in words."""
        return [details for _, what, details in self.seen if what == "commit"]

    def limit_bytes(self, topic: str, most: int) -> None:
        """From now on the topic refuses records over ``most`` bytes."""
        self.broker._settings[topic] = TopicSettings(max_message_bytes=most)

    def expel(self, worker: Worker) -> None:
        """The coordinator throws the worker out; it hears of it at its next heartbeat."""
        self.broker.group(GROUP, TASKS).remove(worker.name, "expelled")


@pytest.fixture
def new_stage() -> Iterator[Callable[..., Stage]]:
    """Makes stages; they are closed at the end."""
    made: list[Stage] = []

    def make(partitions: int = 1) -> Stage:
        made.append(Stage(partitions))
        return made[-1]

    yield make
    for stage in made:
        stage.loop.close()


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    """A stage with one partition."""
    return new_stage()
