from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass, field, replace

import pytest

from aiosv3.router.breaker import BreakerPolicy
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import (
    BadRequest,
    ContextTooLong,
    EndpointError,
    Overloaded,
    RateLimited,
    SchemaViolated,
    ServerFault,
    Spent,
    StreamCut,
)
from aiosv3.router.guard import GuardPolicy, NoBacking
from aiosv3.router.history import HistoryReader
from aiosv3.router.ledger.books import apply
from aiosv3.router.ledger.fold import Booking, Ledger
from aiosv3.router.pools import Pool, Price
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.versions import routing_version
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.history import Block
from aiosv3.schemas.money import LedgerEntry
from aiosv3.schemas.records import Completion, JournalRecord, Message, ModelRequest, Outcome, Prompt, Role, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.errors import AppendFailed, ClaimsUnavailable
from aiosv3.streams.log import Appended, Done, Log, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.testing import MemoryClaims

NOW = 1_750_000_000_000
POOL = Pool("cloud", "openai", "m", Clearance.INTERNAL, Price(1_000_000, 2_000_000))
PROMPT = Prompt((Message(Role.USER, "hello"),), None, 10)
ANSWERED = Completed("hi", None, "stop", 10, 5, 0, "req-1", 3)


@dataclass
class Scripted:
    """An endpoint that does what it is told, in order."""

    script: list[Completed | EndpointError]
    calls: list[Call] = field(default_factory=list)
    writes: tuple[str, ...] = ()
    """What the model writes before each answer or error."""

    async def complete(self, call: Call) -> Completed:
        self.calls.append(call)
        if call.on_text is not None:
            for piece in self.writes:
                call.on_text(piece)
        said = self.script.pop(0)
        if isinstance(said, EndpointError):
            raise said
        return said

    async def probe(self) -> Probed:
        return Probed(("m",), 1)

    async def aclose(self) -> None:
        return None


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


def worker(
    codec: Codec,
    *script: Completed | EndpointError,
    retries: int = 0,
    history: HistoryReader | None = None,
    deltas: DeltaSender | None = None,
) -> tuple[ModelWorker, Scripted]:
    endpoint = Scripted(list(script))
    policy = WorkerPolicy(retries=retries, backoff=0.0, guard=GuardPolicy(BreakerPolicy(failures=2)))
    return ModelWorker(POOL, endpoint, Topics(), codec.store, codec, lambda: NOW, policy, history, deltas), endpoint


def request(
    codec: Codec,
    of: ModelWorker,
    *,
    clearance: Clearance = Clearance.PUBLIC,
    exp: int | None = None,
    content: Prompt | bytes = PROMPT,
    route: Route | None = None,
    request_id: str = "task-1/2",
) -> Request:
    body = ModelRequest("task-1/2", "root-1", "task-1", "2", "a", content)
    headers = [
        ("ce_id", request_id.encode()),
        (GRANT, Grant("t", "root-1", clearance, None, exp, 1).encode()),
        (ROUTE, (route or Route("a", 0.2, 10, 10, first_sent=NOW, hash="h1")).encode()),
        (REPLY, Reply("aios.journal.a", 1, 7, "task-1", "2", "tok").encode()),
    ]
    read = of.read(Record("aios.prompts.cloud", 3, 42, NOW, b"k", codec.encode(body), headers))
    assert isinstance(read, Request)
    return read


async def done(work: object) -> Outgoing:
    answer = await work if inspect.isawaitable(work) else work
    assert isinstance(answer, Outgoing)
    return answer


def completion(codec: Codec, answer: Outgoing) -> Completion:
    return codec.decode_as(Completion, answer.value or b"")


async def test_who_has_waited_calls_only_after_a_broker_has_answered(codec: Codec) -> None:
    """Rule 6: its pause, or the turns of others, may have been longer than a session."""
    heard = [True, False, False]

    def alive() -> bool:
        heard.pop()
        assert endpoint.calls == []
        return not heard

    endpoint = Scripted([ANSWERED])
    policy = WorkerPolicy(backoff=0.0)
    made = ModelWorker(POOL, endpoint, Topics(), codec.store, codec, lambda: NOW, policy, alive=alive)
    answer = made.work(request(codec, made), 7)
    assert not isinstance(answer, Outgoing)
    await answer
    assert (heard, len(endpoint.calls)) == ([], 1)


async def test_an_answer_is_a_completion_with_its_bill(codec: Codec) -> None:
    made, endpoint = worker(codec, ANSWERED)
    asked = request(codec, made)
    answer = await done(made.work(asked, epoch=4))
    said = completion(codec, answer)
    assert (said.outcome, said.pool, said.input_offset, said.epoch) == (Outcome.OK, "cloud", 42, 4)
    assert said.usage.cost_usd_micros == 20
    assert endpoint.calls[0].idempotency_key == "task-1/2"
    onward = made.forward(asked, answer)
    assert onward is not None
    back = codec.decode_as(JournalRecord, onward.value or b"")
    assert (onward.topic, onward.partition, back.token, back.request_hash) == ("aios.journal.a", 1, "tok", "h1")
    assert json.loads(str(back.content)) == {"text": "hi", "tool_calls": None}


async def test_data_above_the_pools_class_is_never_sent(codec: Codec) -> None:
    """The last line: the router said otherwise, the worker does not."""
    made, endpoint = worker(codec, ANSWERED)
    answer = await done(made.work(request(codec, made, clearance=Clearance.CONFIDENTIAL), epoch=4))
    said = completion(codec, answer)
    assert said.outcome is Outcome.FAILED
    assert said.error is not None
    assert said.error.type == "ClearanceDenied"
    assert not endpoint.calls


@pytest.mark.parametrize(
    ("change", "kind"), [({"exp": NOW}, "StepTimeout"), ({"content": b"sealed"}, "ClearanceDenied")]
)
async def test_what_must_not_be_called_is_answered_at_once(codec: Codec, change: dict[str, object], kind: str) -> None:
    made, endpoint = worker(codec, ANSWERED)
    said = completion(codec, await done(made.work(request(codec, made, **change), epoch=4)))  # type: ignore[arg-type]
    assert said.error is not None
    assert said.error.type == kind
    assert not endpoint.calls


async def test_a_refused_call_is_the_next_attempt_on_prompts(codec: Codec) -> None:
    made, _ = worker(codec, Overloaded("full", status=503))
    asked = request(codec, made)
    answer = await done(made.work(asked, epoch=4))
    assert completion(codec, answer).outcome is Outcome.REFUSED
    onward = made.forward(asked, answer)
    assert onward is not None
    assert (onward.topic, onward.key, onward.value) == ("aios.prompts", b"root-1", asked.record.value)
    headers = dict(onward.headers)
    route = Route.decode(headers[ROUTE])
    assert (headers["ce_id"], route.attempt, route.tried, route.hash) == (b"task-1/2~2", 2, ("cloud",), "h1")


async def test_the_third_attempt_follows_the_second(codec: Codec) -> None:
    made, _ = worker(codec, Overloaded("full", status=503))
    route = Route("a", 0.2, 10, 10, attempt=2, first_sent=NOW, hash="h1", tried=("own",))
    asked = request(codec, made, route=route, request_id="task-1/2~2")
    onward = made.forward(asked, await done(made.work(asked, epoch=4)))
    assert onward is not None
    assert dict(onward.headers)["ce_id"] == b"task-1/2~3"
    assert Route.decode(dict(onward.headers)[ROUTE]).tried == ("own", "cloud")


async def test_a_wrong_request_is_final(codec: Codec) -> None:
    made, _ = worker(codec, BadRequest("no such field", status=400))
    asked = request(codec, made)
    answer = await done(made.work(asked, epoch=4))
    assert completion(codec, answer).outcome is Outcome.FAILED
    onward = made.forward(asked, answer)
    assert onward is not None
    error = codec.decode_as(JournalRecord, onward.value or b"").error
    assert error is not None
    assert error.type == "ModelRefused"


async def test_a_passing_fault_is_tried_again_here(codec: Codec) -> None:
    made, endpoint = worker(codec, ServerFault("oops", status=500), ANSWERED, retries=1)
    said = completion(codec, await done(made.work(request(codec, made), epoch=4)))
    assert said.outcome is Outcome.OK
    assert [call.idempotency_key for call in endpoint.calls] == ["task-1/2", "task-1/2"]


async def test_retry_after_rests_the_replica_instead(codec: Codec) -> None:
    made, endpoint = worker(codec, RateLimited("slow down", status=429, retry_after_s=100.0), retries=1)
    said = completion(codec, await done(made.work(request(codec, made), epoch=4)))
    assert said.outcome is Outcome.REFUSED
    assert len(endpoint.calls) == 1
    assert made.guard.resting() > 2.0
    resting = completion(codec, await done(made.work(request(codec, made, request_id="other/1"), epoch=4)))
    assert resting.outcome is Outcome.REFUSED
    assert len(endpoint.calls) == 1


async def test_a_cut_stream_is_on_the_bill(codec: Codec) -> None:
    made, _ = worker(codec, StreamCut("cut", spent=Spent(10, 4, 0, estimated=True)))
    said = completion(codec, await done(made.work(request(codec, made), epoch=4)))
    assert said.outcome is Outcome.REFUSED
    assert (said.usage.output_tokens, said.usage.cost_usd_micros) == (4, 18)


async def test_the_pools_status_quotes_no_provider(codec: Codec) -> None:
    made, _ = worker(codec, ServerFault("your prompt 'my secret' failed", status=500))
    await done(made.work(request(codec, made), epoch=4))
    assert "secret" not in made.guard.note


async def test_a_cancelled_call_says_nothing_about_the_endpoint(codec: Codec) -> None:
    made, endpoint = worker(codec)

    async def hangs(call: Call) -> Completed:
        await asyncio.Event().wait()
        raise AssertionError(call)

    endpoint.complete = hangs  # type: ignore[method-assign]
    task = asyncio.ensure_future(done(made.work(request(codec, made), epoch=4)))
    await asyncio.sleep(0)
    assert made.load.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (made.load.in_flight, made.guard.breaker.failures) == (0, 0)


def test_poison_and_unknown_schemas(codec: Codec) -> None:
    made, _ = worker(codec)
    good = request(codec, made).record
    with pytest.raises(MalformedValue):
        made.read(good._replace(value=None))
    with pytest.raises(MalformedValue):
        made.read(good._replace(value=b"garbage"))
    waiting = made.read(good._replace(value=b"\0\x3b\x9a\xca\x00\x02"))
    assert isinstance(waiting, Unresolved)
    waiting.wait.close()  # type: ignore[attr-defined]


async def test_what_cannot_be_worked_on_is_refused_in_words(codec: Codec) -> None:
    made, _ = worker(codec)
    answer = made.refuse(request(codec, made), AiosError("too old"), epoch=4)
    assert answer is not None
    error = completion(codec, answer).error
    assert error is not None
    assert "too old" in error.message


def test_the_median_is_of_the_last_calls(codec: Codec) -> None:
    made, _ = worker(codec)
    assert made.load.median() is None
    for took in [1_000] * 64 + [5] * 64:
        made.load.took(took)
    assert made.load.median() == 5
    assert replace(made.policy, retries=2).retries == 2


# -- earlier messages -------------------------------------------------------------------------------------------------


async def test_the_endpoint_gets_the_whole_conversation(codec: Codec) -> None:
    claims = MemoryClaims()
    head = await claims.put(Block(None, (Message(Role.USER, "before"), Message(Role.ASSISTANT, "yes"))).encode())
    made, endpoint = worker(codec, ANSWERED, history=HistoryReader(claims))
    answer = await done(made.work(request(codec, made, content=replace(PROMPT, history=head)), epoch=4))
    assert completion(codec, answer).outcome is Outcome.OK
    assert [message.content for message in endpoint.calls[0].prompt.messages] == ["before", "yes", "hello"]


async def test_a_conversation_without_its_beginning_is_not_asked_about(codec: Codec) -> None:
    """Half a conversation would get an answer to something else, and it would be paid."""
    for history in (None, HistoryReader(MemoryClaims())):
        made, endpoint = worker(codec, ANSWERED, history=history)
        asked = request(codec, made, content=replace(PROMPT, history="sha256:" + "0" * 64))
        said = completion(codec, await done(made.work(asked, epoch=4)))
        assert endpoint.calls == []
        assert said.error is not None
        assert (said.outcome, said.error.type, said.error.retryable) == (Outcome.FAILED, "ModelUnavailable", True)
        assert made.load.in_flight == 0


async def test_where_the_claim_store_is_away_another_worker_is_asked(codec: Codec) -> None:
    class Away(MemoryClaims):
        async def get(self, claim: str) -> bytes:
            raise ClaimsUnavailable("away")

    made, endpoint = worker(codec, ANSWERED, history=HistoryReader(Away()))
    asked = request(codec, made, content=replace(PROMPT, history="sha256:" + "0" * 64))
    answer = await done(made.work(asked, epoch=4))
    assert completion(codec, answer).outcome is Outcome.REFUSED
    assert endpoint.calls == []
    onward = made.forward(asked, answer)
    assert onward is not None
    assert onward.topic == Topics().prompts()
    sent = codec.decode_as(ModelRequest, onward.value or b"").content
    assert isinstance(sent, Prompt)
    assert sent.history is not None, "it travels on by reference"


# -- tokens -----------------------------------------------------------------------------------------------------------


@dataclass
class Following:
    """A log that keeps the deltas."""

    codec: Codec
    records: list[Outgoing] = field(default_factory=list)

    def append(self, record: Outgoing, done: Done) -> None:
        self.records.append(record)
        asyncio.get_running_loop().call_soon(done, Appended(record.partition or 0, len(self.records), NOW))

    def sender(self) -> DeltaSender:
        port: Log = self  # type: ignore[assignment] # only what a sender needs
        return DeltaSender(port, self.codec, Topics().deltas(), 6, MetricsCatalogue().processor("pool.cloud"))

    @property
    def shown(self) -> list[tuple[int, int, int, DeltaKind, object]]:
        """(attempt, epoch, sequence, kind, content)"""
        deltas = [self.codec.decode_as(Delta, record.value or b"") for record in self.records]
        return [(one.attempt, one.epoch, one.sequence, one.kind, one.content) for one in deltas]


def followed(partition: int | None, attempt: int = 1) -> Route:
    return Route("a", 0.2, 10, 10, attempt=attempt, first_sent=NOW, hash="h1", stream=partition)


async def test_an_answer_that_somebody_follows_is_shown_while_it_is_written(codec: Codec) -> None:
    following = Following(codec)
    made, endpoint = worker(codec, ANSWERED, deltas=following.sender())
    endpoint.writes = ("h", "i")
    answer = await done(made.work(request(codec, made, route=followed(4)), epoch=9))
    assert completion(codec, answer).outcome is Outcome.OK
    assert following.shown == [
        (1, 9, 0, DeltaKind.TOKEN, "h"),
        (1, 9, 1, DeltaKind.TOKEN, "i"),
        (1, 9, 2, DeltaKind.END, None),
    ]
    first = following.records[0]
    assert (first.topic, first.partition, first.key) == ("aios.deltas", 4, b"task-1/2")
    assert dict(first.headers)["ce_subject"] == b"root-1"
    delta = codec.decode_as(Delta, first.value or b"")
    assert (delta.root_id, delta.task_id, delta.agent, delta.step_id) == ("root-1", "task-1", "a", "2")


@pytest.mark.parametrize("partition", [None, 6])
async def test_an_answer_that_nobody_can_follow_is_not_shown(codec: Codec, partition: int | None) -> None:
    following = Following(codec)
    made, endpoint = worker(codec, ANSWERED, deltas=following.sender())
    endpoint.writes = ("h", "i")
    answer = await done(made.work(request(codec, made, route=followed(partition)), epoch=9))
    assert completion(codec, answer).outcome is Outcome.OK
    assert endpoint.calls[0].on_text is None
    assert following.records == []


async def test_each_call_begins_at_zero_and_only_an_answer_has_an_end(codec: Codec) -> None:
    """Who sees the second 0 knows that what the first call wrote is void."""
    following = Following(codec)
    made, endpoint = worker(codec, StreamCut("cut"), ANSWERED, retries=0, deltas=following.sender())
    endpoint.writes = ("h",)
    asked = request(codec, made, route=followed(4))
    onward = made.forward(asked, await done(made.work(asked, epoch=9)))
    assert onward is not None
    route = Route.decode(dict(onward.headers)[ROUTE])
    assert (route.attempt, route.stream) == (2, 4), "the next attempt is followed too"
    again = request(codec, made, route=route, request_id="task-1/2~2")
    await done(made.work(again, epoch=9))
    assert following.shown == [
        (1, 9, 0, DeltaKind.TOKEN, "h"),
        (2, 9, 0, DeltaKind.TOKEN, "h"),
        (2, 9, 1, DeltaKind.END, None),
    ]


async def test_a_call_that_is_repeated_here_begins_at_zero_too(codec: Codec) -> None:
    following = Following(codec)
    made, endpoint = worker(codec, ServerFault("oops", status=500), ANSWERED, retries=1, deltas=following.sender())
    endpoint.writes = ("h",)
    await done(made.work(request(codec, made, route=followed(4)), epoch=9))
    assert [delta[:3] for delta in following.shown] == [(1, 9, 0), (1, 9, 0), (1, 9, 1)]


async def test_deltas_that_the_broker_refuses_change_nothing(codec: Codec) -> None:
    class Refusing(Following):
        def append(self, record: Outgoing, done: Done) -> None:
            asyncio.get_running_loop().call_soon(done, AppendFailed("no such topic"))

    made, endpoint = worker(codec, ANSWERED, deltas=Refusing(codec).sender())
    endpoint.writes = ("h", "i")
    answer = await done(made.work(request(codec, made, route=followed(4)), epoch=9))
    assert completion(codec, answer).outcome is Outcome.OK


# -- what stands between worker and endpoint --------------------------------------------------------------------------


async def test_a_call_that_was_cut_and_made_again_is_billed_with_its_answer(codec: Codec) -> None:
    cut = StreamCut("cut", spent=Spent(10, 4, 0, estimated=True))
    made, _ = worker(codec, cut, ANSWERED, retries=1)
    said = completion(codec, await done(made.work(request(codec, made), epoch=4)))
    assert said.outcome is Outcome.OK
    assert (said.usage.input_tokens, said.usage.output_tokens, said.usage.cost_usd_micros) == (20, 9, 38)
    assert said.usage.model_calls == 1


async def test_what_was_cut_before_the_breaker_opened_is_billed_too(codec: Codec) -> None:
    cut = StreamCut("cut", spent=Spent(10, 4, 0, estimated=True))
    made, endpoint = worker(codec, cut, cut, retries=2)
    said = completion(codec, await done(made.work(request(codec, made), epoch=4)))
    assert (said.outcome, len(endpoint.calls)) == (Outcome.REFUSED, 2)
    assert (said.usage.output_tokens, said.usage.cost_usd_micros) == (8, 36)


async def test_a_full_server_is_left_alone_for_a_while_and_its_breaker_stays_closed(codec: Codec) -> None:
    made, endpoint = worker(codec, Overloaded("full", status=503), ANSWERED)
    for number in range(3):
        said = completion(codec, await done(made.work(request(codec, made, request_id=f"task-1/{number}"), epoch=4)))
        assert said.outcome is Outcome.REFUSED
    assert len(endpoint.calls) == 1, "the others were routed on without a call"
    assert (made.guard.breaker.failures, made.guard.breaker.opened) == (0, 0)
    assert made.guard.resting() > 0


async def test_retries_stay_a_small_share_of_the_calls(codec: Codec) -> None:
    """An outage that every call hits twice would be twice the load just when it can be borne least."""
    endpoint = Scripted([SchemaViolated("no JSON")] * 400)
    policy = WorkerPolicy(retries=1, backoff=0.0)
    made = ModelWorker(POOL, endpoint, Topics(), codec.store, codec, lambda: NOW, policy)
    for number in range(200):
        await done(made.work(request(codec, made, request_id=f"task-1/{number}"), epoch=4))
    assert 228 <= len(endpoint.calls) <= 232
    assert made.guard.retries.withheld >= 168


async def test_a_request_that_comes_back_is_a_retry_too(codec: Codec) -> None:
    made, endpoint = worker(codec, *[ANSWERED] * 30)
    route = Route("a", 0.2, 10, 10, attempt=3, first_sent=NOW, hash="h1", tried=("cloud", "own"))
    for number in range(12):
        asked = request(codec, made, route=route, request_id=f"task-1/{number}~3")
        said = completion(codec, await done(made.work(asked, epoch=4)))
    assert len(endpoint.calls) == 10
    assert said.outcome is Outcome.REFUSED
    assert said.error is not None
    assert "used up its retries" in said.error.message


class Sleepy(NoBacking):
    """A server that sleeps."""

    asleep = True
    woken = 0

    async def wake(self) -> None:
        self.woken += 1
        if self.woken == 2:
            raise Overloaded("the server sleeps and has no /wake_up")


async def test_a_server_that_sleeps_is_woken_before_the_call(codec: Codec) -> None:
    endpoint, backing = Scripted([ANSWERED]), Sleepy()
    policy = WorkerPolicy(retries=0, backoff=0.0)
    made = ModelWorker(POOL, endpoint, Topics(), codec.store, codec, lambda: NOW, policy, backing=backing)
    outcomes = []
    for number in range(2):
        answer = await done(made.work(request(codec, made, request_id=f"task-1/{number}"), epoch=4))
        outcomes.append(completion(codec, answer).outcome)
    assert (outcomes, backing.woken, len(endpoint.calls)) == ([Outcome.OK, Outcome.REFUSED], 2, 1)


async def test_what_a_dropped_call_has_cost_is_counted(codec: Codec) -> None:
    made, endpoint = worker(codec, ANSWERED)
    await done(made.work(request(codec, made), epoch=4))
    dropped = endpoint.calls[0].on_dropped
    assert dropped is not None
    dropped(Spent(10, 7, 0, estimated=True))
    assert made.guard.lost_tokens == 7
    assert made.guard.lost_usd_micros > 0


# -- the routing policy ------------------------------------------------------------------------------------------------


async def test_a_prompt_that_is_too_long_goes_once_to_a_larger_window_and_is_paid_for_once(codec: Codec) -> None:
    made, _ = worker(codec, ContextTooLong("8192 tokens at most"))
    asked = request(codec, made)
    answer = await done(made.work(asked, epoch=4))
    said = completion(codec, answer)
    assert (said.outcome, said.usage.cost_usd_micros) == (Outcome.REFUSED, 0)
    onward = made.forward(asked, answer)
    assert onward is not None
    route = Route.decode(dict(onward.headers)[ROUTE])
    assert (onward.topic, route.attempt, route.tried, route.overflow) == (
        "aios.prompts",
        2,
        ("cloud",),
        POOL.context_window,
    )

    larger, _ = worker(codec, ContextTooLong("still too long"))
    again = request(codec, larger, route=route, request_id="task-1/2~2")
    last = completion(codec, await done(larger.work(again, epoch=4)))
    assert last.error is not None
    assert (last.outcome, last.error.type, last.error.retryable) == (Outcome.FAILED, "ModelRefused", False)


class Held(Scripted):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__([ANSWERED] * 10)
        self.go = asyncio.Event()

    async def complete(self, call: Call) -> Completed:
        self.calls.append(call)
        await self.go.wait()
        return ANSWERED


async def test_a_policy_that_came_while_a_request_waited_for_its_turn_counts(codec: Codec) -> None:
    book, endpoint = PolicyBook(), Held()
    made = ModelWorker(
        POOL,
        endpoint,
        Topics(),
        codec.store,
        codec,
        lambda: NOW,
        WorkerPolicy(concurrency=1),
        policies=book,
    )
    first = asyncio.create_task(done(made.work(request(codec, made), epoch=4)))
    second = asyncio.create_task(done(made.work(request(codec, made, request_id="task-2/1"), epoch=4)))
    while not endpoint.calls:
        await asyncio.sleep(0)
    book.apply(routing_version(parse_routing("classes: {public: {regions: [eu]}}")[0], NOW))
    endpoint.go.set()
    assert completion(codec, await first).outcome is Outcome.OK
    denied = completion(codec, await second)
    assert denied.error is not None
    assert (denied.outcome, denied.error.type) == (Outcome.FAILED, "ClearanceDenied")
    assert "region" in denied.error.message
    assert len(endpoint.calls) == 1


async def test_a_call_is_settled_with_what_its_completion_says(codec: Codec) -> None:
    made, _ = worker(codec, ANSWERED)
    asked = request(codec, made)
    answer = await done(made.work(asked, epoch=4))
    made.forward(asked, answer)
    (sent,) = made.settle(answer)
    entry = codec.decode_as(LedgerEntry, sent.value or b"")
    assert (sent.topic, sent.key, entry.id, entry.epoch) == ("aios.journal.router", b"root-1", "task-1/2", 4)
    assert entry.usd_micros == completion(codec, answer).usage.cost_usd_micros == 20


async def test_what_was_written_to_a_cache_is_on_the_log_and_on_the_bill(codec: Codec) -> None:
    price = Price(1_000_000, 2_000_000, 100_000, 4_000_000, 8_000_000)
    said = replace(ANSWERED, input_tokens=1_000, cached_tokens=500, written_tokens=200, kept_tokens=100)
    cut = StreamCut("cut", spent=Spent(1_000, 5, 500, 200, 100, estimated=True))
    for script in ([said], [cut, cut]):
        made, _ = worker(codec, *script, retries=1)
        made.pool = replace(made.pool, price=price)
        usage = completion(codec, await done(made.work(request(codec, made), epoch=4))).usage
        calls = len(script)
        assert usage == Usage(
            1, 1_000 * calls, 5 * calls, 500 * calls, calls * (200 + 10 + 50 + 800 + 800), 200 * calls, 100 * calls,
            estimated=calls > 1,
        )  # fmt: skip


async def test_a_worker_whose_calls_are_free_still_ends_what_a_router_has_reserved(codec: Codec) -> None:
    """Their tables of prices may differ: what stays reserved would be lost to the tree."""
    ledger = Ledger()
    ledger.book(Booking("task-1/2", "root-1", 60, 100))
    made, _ = worker(codec, ANSWERED)
    made.pool = replace(made.pool, price=Price())
    (sent,) = made.settle(await done(made.work(request(codec, made), epoch=4)))
    apply(ledger, codec.decode_as(LedgerEntry, sent.value or b""))
    tree = ledger.tree("root-1")
    assert (tree.reserved, tree.spent, tree.open) == (0, 0, {})


async def test_a_probe_that_ends_in_a_defect_does_not_block_the_next_one(codec: Codec) -> None:
    made, endpoint = worker(codec, ServerFault("oops", status=500), ServerFault("oops", status=500), ANSWERED)
    for number in range(2):
        await done(made.work(request(codec, made, request_id=f"task-1/{number}"), epoch=4))
    made.guard.breaker._open_until = 0.0
    complete = endpoint.complete

    async def broken(call: Call) -> Completed:
        raise ZeroDivisionError

    endpoint.complete = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await done(made.work(request(codec, made, request_id="task-1/3"), epoch=4))
    endpoint.complete = complete  # type: ignore[method-assign]
    said = completion(codec, await done(made.work(request(codec, made, request_id="task-1/4"), epoch=4)))
    assert said.outcome is Outcome.OK
