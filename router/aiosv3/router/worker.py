"""Model workers: pull a pool's topic, call its endpoint, answer on ``completions.<pool>`` first."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from aiosv3.router.breaker import Breaker, BreakerPolicy
from aiosv3.router.endpoints.endpoint import Call, Completed, Endpoint
from aiosv3.router.endpoints.errors import EndpointError
from aiosv3.router.history import HistoryReader, HistoryUnavailable
from aiosv3.router.pools import Pool
from aiosv3.router.tokens import Shown, TokenStream
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.records import (
    Answer,
    Completion,
    ModelRequest,
    Outcome,
    Prompt,
    StepFailure,
    Usage,
    attempt_request_id,
    base_request_id,
)
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.requests import Ask, read_request

COMPLETION_TYPE: Final = b"aiosv3.completion"
_LOG: Final = logging.getLogger(__name__)
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """``timeout``: seconds a call may take. ``retries``: calls again on this replica before it is re-routed."""

    timeout: float = 120.0
    retries: int = 1
    backoff: float = 0.5
    breaker: BreakerPolicy = BreakerPolicy()


@dataclass(slots=True)
class Load:
    """What a replica tells about itself, besides its breaker. Latencies in milliseconds."""

    in_flight: int = 0
    latencies: list[int] | None = None
    note: str = ""

    def took(self, milliseconds: int) -> None:
        """Remembers the latency of an answered call."""
        self.latencies = [*(self.latencies or [])[-63:], milliseconds]

    def median(self) -> int | None:
        """The median of the last answered calls."""
        return sorted(self.latencies)[len(self.latencies) // 2] if self.latencies else None


class ModelWorker:
    """Implements :class:`~aiosv3.streams.effector.Effector` for one pool. ``clock``: milliseconds since the epoch."""

    def __init__(
        self,
        pool: Pool,
        endpoint: Endpoint,
        topics: Topics,
        store: SchemaStore,
        codec: Codec,
        clock: Callable[[], int],
        policy: WorkerPolicy | None = None,
        history: HistoryReader | None = None,
        deltas: DeltaSender | None = None,
    ) -> None:
        self.pool = pool
        self.policy = policy or WorkerPolicy()
        self.breaker = Breaker(self.policy.breaker, time.monotonic)
        self.load = Load()
        self._endpoint = endpoint
        self._topics = topics
        self._store = store
        self._codec = codec
        self._clock = clock
        self._history = history or HistoryReader(None)
        self._deltas = deltas

    def read(self, record: Record) -> Request | Unresolved:
        request = read_request(record)
        if record.value is None:
            raise MalformedValue("a model request without a value")
        try:
            body = self._codec.decode_as(ModelRequest, record.value)
        except UnresolvedSchema as error:
            return Unresolved(self._store.resolve(error.schema_id))
        return request._replace(body=(request.body, body))

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """The call; or at once a failed answer when it must not be made (clearance, deadline, sealed content)."""
        ask, body = request.body
        if (failure := self._forbidden(ask, body)) is not None:
            return self._completion(request, epoch, Outcome.FAILED, error=failure)
        return self._call(request, epoch)

    def _forbidden(self, ask: Ask, body: ModelRequest) -> StepFailure | None:
        if ask.grant.clearance > self.pool.clearance:
            seen = self.pool.clearance.label
            words = f"{ask.grant.clearance.label} data reached pool {self.pool.name}, which may see {seen}: not sent"
            return StepFailure("ClearanceDenied", words, retryable=False)
        if ask.grant.exp is not None and ask.grant.exp <= self._clock():
            return StepFailure("StepTimeout", "the task's deadline passed before the model was called", retryable=False)
        if not isinstance(body.content, Prompt):
            return StepFailure(
                "ClearanceDenied", f"pool {self.pool.name} has no key for this sealed prompt", retryable=False
            )
        return None

    async def _call(self, request: Request, epoch: int) -> Outgoing:
        ask, _ = request.body
        await self._pause(ask)
        self.load.in_flight += 1
        try:
            return await self._attempts(await self._recalled(request), epoch)
        except HistoryUnavailable as error:
            # Nothing was sent: the asker may try again. Where the store is away, others may have it.
            failure = StepFailure("ModelUnavailable", f"{self.pool.name}: {error}", retryable=True)
            return self._completion(request, epoch, Outcome.REFUSED if error.later else Outcome.FAILED, error=failure)
        finally:
            self.load.in_flight -= 1

    async def _recalled(self, request: Request) -> Request:
        """The request with the earlier messages of its conversation in it."""
        ask, body = request.body
        if body.content.history is None:
            return request
        return request._replace(body=(ask, replace(body, content=await self._history.whole(body.content))))

    async def _pause(self, ask: Ask) -> None:
        """A request that was here before waits, longer each time: every other eligible pool has failed too."""
        if self.pool.name in ask.route.tried:
            wait = self.policy.backoff * 2 ** (ask.route.attempt - 1)
            await asyncio.sleep(min(_LONGEST_PAUSE_S, max(wait, self.breaker.remaining())))

    async def _attempts(self, request: Request, epoch: int) -> Outgoing:
        for again in range(self.policy.retries + 1):
            if not self.breaker.allow():
                words = f"pool {self.pool.name} is cooling down: {self.load.note or 'its endpoint failed'}"
                failure = StepFailure("ModelUnavailable", words, retryable=True)
                return self._completion(request, epoch, Outcome.REFUSED, error=failure)
            began = time.monotonic()
            try:
                done = await self._complete(request, epoch)
            except EndpointError as error:
                self._tell(error)
                if again < self.policy.retries and error.retry and not error.retry_after_s:
                    await asyncio.sleep(self.policy.backoff)
                    continue
                return self._failed(request, epoch, error, began)
            except asyncio.CancelledError:
                self.breaker.undecided()
                raise
            self.breaker.succeeded()
            return self._answered(request, epoch, done, began)
        raise AssertionError("unreachable: the last attempt returns")

    async def _complete(self, request: Request, epoch: int) -> Completed:
        """One call of the endpoint, shown where somebody follows it."""
        shown = self._shown(request, epoch)
        try:
            done = await self._endpoint.complete(self._asked(request, None if shown is None else shown.say))
            if shown is not None:
                shown.end()
            return done
        finally:
            if shown is not None:
                shown.stop()

    def _shown(self, request: Request, epoch: int) -> TokenStream | None:
        ask, body = request.body
        partition = ask.route.stream
        if self._deltas is None or not self._deltas.reaches(partition):
            return None
        shown = Shown(
            root_id=ask.grant.root,
            task_id=body.task_id,
            agent=body.agent,
            step_id=body.step_id,
            attempt=ask.route.attempt,
            epoch=epoch,
            partition=partition,
            key=request.id,
            source=provenance(request.record),
            traceparent=ask.traceparent,
        )
        return TokenStream(self._deltas, shown, asyncio.get_running_loop())

    def _asked(self, request: Request, on_text: Callable[[str], None] | None) -> Call:
        ask, body = request.body
        timeout = self.policy.timeout
        if ask.grant.exp is not None:
            timeout = max(0.001, min(timeout, (ask.grant.exp - self._clock()) / 1000))
        return Call(
            prompt=body.content,
            model=self.pool.model,
            idempotency_key=request.id,
            timeout_s=timeout,
            tenant=ask.grant.tenant,
            priority=ask.route.priority,
            on_text=on_text,
        )

    def _tell(self, error: EndpointError) -> None:
        """What the failure says about the endpoint."""
        self.load.note = error.label  # a provider's message may quote the prompt; this topic is for everybody
        if error.trips_breaker:
            self.breaker.failed()
        else:
            self.breaker.undecided()
        if error.retry_after_s:
            self.breaker.pause(error.retry_after_s)

    def _answered(self, request: Request, epoch: int, done: Completed, began: float) -> Outgoing:
        took = round((time.monotonic() - began) * 1000)
        self.load.took(took)
        return self._completion(
            request,
            epoch,
            Outcome.OK,
            usage=self.pool.price.usage(done.input_tokens, done.output_tokens, done.cached_tokens),
            latency_ms=took,
            done=done,
        )

    def _failed(self, request: Request, epoch: int, error: EndpointError, began: float) -> Outgoing:
        outcome = Outcome.REFUSED if error.reroute or error.retry else Outcome.FAILED
        kind = "ModelUnavailable" if outcome is Outcome.REFUSED else "ModelRefused"
        words = f"{self.pool.name}: {type(error).__name__}: {error}"
        usage = Usage()
        if error.billed:
            usage = self.pool.price.usage(error.input_tokens, error.output_tokens, error.cached_tokens)
        return self._completion(
            request,
            epoch,
            outcome,
            error=StepFailure(kind, words, retryable=error.retry or error.reroute),
            usage=usage,
            latency_ms=round((time.monotonic() - began) * 1000),
        )

    def _completion(
        self,
        request: Request,
        epoch: int,
        outcome: Outcome,
        *,
        error: StepFailure | None = None,
        usage: Usage | None = None,
        latency_ms: int = 0,
        done: Completed | None = None,
    ) -> Outgoing:
        ask, body = request.body
        completion = Completion(
            request_id=request.id,
            root_id=ask.grant.root,
            task_id=body.task_id,
            step_id=body.step_id,
            agent=body.agent,
            attempt=ask.route.attempt,
            input_offset=request.record.offset,
            epoch=epoch,
            request_hash=ask.route.hash,
            first_sent=request.first_sent,
            reply=reply_to(ask.reply),
            outcome=outcome,
            error=error,
            pool=self.pool.name,
            model=self.pool.model,
            finish_reason=done.finish_reason if done is not None else None,
            usage=usage or Usage(),
            latency_ms=latency_ms,
            first_token_ms=done.first_token_ms if done is not None else None,
            provider_request_id=done.provider_request_id if done is not None else None,
            content=Answer(done.text, done.tool_calls) if done is not None else None,
        )
        headers = event(COMPLETION_TYPE, request.id, provenance(request.record), AVRO, ask.traceparent)
        return Outgoing("", None, request.id.encode(), self._codec.encode(completion), headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """The answer to the asker's journal; a refusal as the next attempt to ``prompts``."""
        if answer.value is None:
            raise MalformedValue("a completion without a value")
        completion = self._codec.decode_as(Completion, answer.value)
        if completion.outcome is Outcome.REFUSED:
            return self._next_attempt(request, completion)
        if completion.reply is None:
            return None
        content = None
        if isinstance(completion.content, Answer):
            said = completion.content
            content = json.dumps({"text": said.text, "tool_calls": said.tool_calls}, ensure_ascii=False)
        back = answer_record(
            completion.reply,
            completion.request_hash,
            completion.outcome,
            content,
            error=completion.error,
            usage=completion.usage,
        )
        source = provenance(request.record)
        return journal_outgoing(self._codec, completion.reply.topic, completion.reply.partition, back, source)

    def _next_attempt(self, request: Request, completion: Completion) -> Outgoing:
        ask, _ = request.body
        attempt = completion.attempt + 1
        route = replace(ask.route, attempt=attempt, tried=(*ask.route.tried, completion.pool))
        changed = {
            names.CE_ID: attempt_request_id(base_request_id(request.id), attempt).encode(),
            names.ROUTE: route.encode(),
        }
        headers: Headers = [(name, changed.get(name, value)) for name, value in request.record.headers]
        return Outgoing(self._topics.prompts(), None, ask.grant.root.encode(), request.record.value, headers)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        words = f"{self.pool.name}: {type(error).__name__}: {error}"
        failure = StepFailure("ModelUnavailable", words, retryable=False)
        return self._completion(request, epoch, Outcome.FAILED, error=failure)
