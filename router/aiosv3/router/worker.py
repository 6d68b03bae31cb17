"""Model workers: pull a pool's topic, call its endpoint, answer on ``completions.<pool>`` first."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from aiosv3.router.endpoints.endpoint import Call, Completed, Endpoint
from aiosv3.router.endpoints.errors import EndpointError, Spent
from aiosv3.router.guard import Backing, Guard, GuardPolicy
from aiosv3.router.history import HistoryReader, HistoryUnavailable
from aiosv3.router.ledger.settling import settlement
from aiosv3.router.pools import Pool
from aiosv3.router.prices.price import together
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.fairness import FairTurns, Turn
from aiosv3.router.routing.overflow import next_route, outcome_of
from aiosv3.router.sealed import answer_text, opened_request, said, unread
from aiosv3.router.tokens import Shown, TokenStream
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.records import (
    Answer,
    Completion,
    ModelRequest,
    Outcome,
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
from aiosv3.streams.keys import KeyRing, UnresolvedKey
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.requests import Ask, read_request

COMPLETION_TYPE: Final = b"aiosv3.completion"
_LOG: Final = logging.getLogger(__name__)
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """``timeout``: seconds a call may take. ``retries``: calls again on this replica before it is re-routed.

    ``concurrency``: calls at once; what is read beyond them waits its tenant's turn.
    """

    timeout: float = 120.0
    concurrency: int = 32
    retries: int = 1
    backoff: float = 0.5
    guard: GuardPolicy = GuardPolicy()


@dataclass(slots=True)
class Load:
    """What a replica tells about itself, besides its guard. Latencies in milliseconds."""

    in_flight: int = 0
    latencies: list[int] | None = None

    def took(self, milliseconds: int) -> None:
        """Remembers the latency of an answered call."""
        self.latencies = [*(self.latencies or [])[-63:], milliseconds]

    def median(self) -> int | None:
        """The median of the last answered calls."""
        return self.percentile(0.5)

    def percentile(self, share: float) -> int | None:
        """What that share of the last answered calls kept."""
        told = sorted(self.latencies or ())
        return told[min(len(told) - 1, int(len(told) * share))] if told else None


class ModelWorker:
    """The :class:`~aiosv3.streams.effector.Effector` of a pool. ``clock``: epoch ms; ``monotonic``: seconds."""

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
        backing: Backing | None = None,
        policies: PolicyBook | None = None,
        ring: KeyRing | None = None,
        alive: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._monotonic = monotonic
        self._alive = alive
        self.pool = pool
        self.policy = policy or WorkerPolicy()
        self.guard = Guard(self.policy.guard, backing, monotonic)
        self.load = Load()
        self._endpoint = endpoint
        self._topics = topics
        self._store = store
        self._codec = codec
        self._clock = clock
        self._history = history or HistoryReader(None)
        self._deltas = deltas
        self._last: tuple[bytes, Completion] | None = None
        self._policies = policies or PolicyBook()
        self._turns = FairTurns(self.policy.concurrency, self._policies.weight)

    def read(self, record: Record) -> Request | Unresolved:
        request = read_request(record)
        if record.value is None:
            raise MalformedValue("a model request without a value")
        try:
            body = self._codec.decode_as(ModelRequest, record.value)
            body = opened_request(self._ring, self._codec, request.body, body)
        except UnresolvedSchema as error:
            return Unresolved(self._store.resolve(error.schema_id))
        except UnresolvedKey as error:
            return Unresolved(error.resolved())
        return request._replace(body=(request.body, body))

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """The call; or at once a failed answer when it must not be made (clearance, deadline, sealed content)."""
        ask, body = request.body
        if (failure := self._forbidden(ask)) is not None:
            return self._completion(request, epoch, Outcome.FAILED, error=failure)
        if (why := unread(self.pool.name, ask, body)) is not None:
            return self._completion(request, epoch, why.outcome, error=why.failure)
        return self._call(request, epoch)

    def _forbidden(self, ask: Ask) -> StepFailure | None:
        denied = self._policies.current.denied(ask.grant, self.pool)
        if denied is not None:
            words = f"data reached pool {self.pool.name} that it must not see, and were not sent: {denied}"
            return StepFailure("ClearanceDenied", words, retryable=False)
        if ask.grant.exp is not None and ask.grant.exp <= self._clock():
            return StepFailure("StepTimeout", "the task's deadline passed before the model was called", retryable=False)
        return None

    async def _call(self, request: Request, epoch: int) -> Outgoing:
        ask: Ask = request.body[0]
        await self._pause(ask)
        async with self._turns.turn(_turn_of(ask)):
            # The policy may have changed while it waited, and its time may be up.
            if (failure := self._forbidden(ask)) is not None:
                return self._completion(request, epoch, Outcome.FAILED, error=failure)
            return await self._called(request, epoch)

    async def _called(self, request: Request, epoch: int) -> Outgoing:
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
            await asyncio.sleep(min(_LONGEST_PAUSE_S, max(wait, self.guard.resting())))

    async def _attempts(self, request: Request, epoch: int) -> Outgoing:
        guard = self.guard
        lost = Usage()  # what calls have cost that came to nothing here
        for again in range(self.policy.retries + 1):
            if (refusal := self._refusal(request.body[0], first=not again)) is not None:
                failure = StepFailure("ModelUnavailable", f"pool {self.pool.name} {refusal}", retryable=True)
                return self._completion(request, epoch, Outcome.REFUSED, error=failure, usage=lost)
            began = self._monotonic()
            ticket = guard.pace.began()
            try:
                await guard.backing.wake()
                await self._heard()
                done = await self._complete(request, epoch)
            except EndpointError as error:
                guard.failed(error)
                lost = together(self._cost(error), lost)
                if again < self.policy.retries and error.retry and not error.retry_after_s and guard.retries.take():
                    await asyncio.sleep(self.policy.backoff)
                    continue
                return self._failed(request, epoch, error, began, lost)
            except BaseException:
                guard.breaker.undecided()  # or the next probe would wait for this one's outcome for ever
                raise
            finally:
                guard.pace.ended(ticket)
            return self._answered(request, epoch, done, began, lost)
        raise AssertionError("unreachable: the last attempt returns")

    async def _heard(self) -> None:
        """Whoever waited may have lost its partition: no call starts before a broker has answered again (rule 6)."""
        while not self._alive():
            await asyncio.sleep(self.policy.backoff)

    def _refusal(self, ask: Ask, *, first: bool) -> str | None:
        """Why the endpoint is not called now. A request that comes back here is a retry, however it travelled."""
        if first and self.pool.name not in ask.route.tried:
            self.guard.retries.called()
        elif first and not self.guard.retries.take():
            return f"has used up its retries: {self.guard.note or 'its endpoint failed'}"
        return self.guard.refusal()

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
            seal_with=ask.key,
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
            on_dropped=self._dropped,
        )

    def _dropped(self, spent: Spent) -> None:
        """A call was cancelled half-way: its partition went, and whoever has it now calls again."""
        self.guard.lost_tokens += spent.output_tokens
        self.guard.lost_usd_micros += self.pool.price.usage(spent).cost_usd_micros

    def _cost(self, error: EndpointError) -> Usage:
        return Usage() if error.spent is None else self.pool.price.usage(error.spent)

    def _answered(self, request: Request, epoch: int, done: Completed, began: float, lost: Usage) -> Outgoing:
        took = round((self._monotonic() - began) * 1000)
        self.load.took(took)
        self.guard.answered(done, took)
        used = together(self.pool.price.usage(done.spent), lost)
        return self._completion(request, epoch, Outcome.OK, usage=used, latency_ms=took, done=done)

    def _failed(self, request: Request, epoch: int, error: EndpointError, began: float, lost: Usage) -> Outgoing:
        outcome, failure = outcome_of(error, self.pool.name, request.body[0].route)
        return self._completion(
            request,
            epoch,
            outcome,
            error=failure,
            usage=lost,
            latency_ms=round((self._monotonic() - began) * 1000),
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
        told = said(ask, body, done, error)
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
            error=told.error,
            pool=self.pool.name,
            model=self.pool.model,
            finish_reason=done.finish_reason if done is not None else None,
            usage=usage or Usage(),
            latency_ms=latency_ms,
            first_token_ms=done.first_token_ms if done is not None else None,
            provider_request_id=done.provider_request_id if done is not None else None,
            content=told.content,
            content_key_id=told.content_key_id,
        )
        headers = event(COMPLETION_TYPE, request.id, provenance(request.record), AVRO, ask.traceparent)
        ask.made = self._codec.encode(completion), completion
        return Outgoing("", None, request.id.encode(), ask.made[0], headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """The answer to the asker's journal; a refusal as the next attempt to ``prompts``."""
        completion = self._read_completion(answer, request.body[0])
        if completion.outcome is Outcome.REFUSED:
            return self._next_attempt(request, completion)
        if completion.reply is None:
            return None
        content = completion.content
        back = answer_record(
            completion.reply,
            completion.request_hash,
            completion.outcome,
            answer_text(content) if isinstance(content, Answer) else content,
            error=completion.error,
            usage=completion.usage,
            key_id=completion.content_key_id,
        )
        source = provenance(request.record)
        return journal_outgoing(self._codec, completion.reply.topic, completion.reply.partition, back, source)

    def _read_completion(self, answer: Outgoing | Record, ask: Ask | None = None) -> Completion:
        """Each one is asked for twice in a row: for its forward, and for what it has cost."""
        value = answer.value
        if value is None:
            raise MalformedValue("a completion without a value")
        last = self._last
        if last is None or value is not last[0]:
            made = None if ask is None else ask.take_made(value)
            last = self._last = value, made or self._codec.decode_as(Completion, value)
        return last[1]

    def settle(self, answer: Outgoing | Record) -> tuple[Outgoing, ...]:
        """What the call has cost. The router may have reserved money for it even where it is free by my table."""
        return (settlement(self._topics, self._codec, self._read_completion(answer)),)

    def _next_attempt(self, request: Request, completion: Completion) -> Outgoing:
        ask, _ = request.body
        route = next_route(ask.route, completion.pool, self.pool.context_window, completion.error)
        changed = {
            names.CE_ID: attempt_request_id(base_request_id(request.id), route.attempt).encode(),
            names.ROUTE: route.encode(),
        }
        headers: Headers = [(name, changed.get(name, value)) for name, value in request.record.headers]
        return Outgoing(self._topics.prompts(), None, ask.grant.root.encode(), request.record.value, headers)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        words = f"{self.pool.name}: {type(error).__name__}: {error}"
        failure = StepFailure("ModelUnavailable", words, retryable=False)
        return self._completion(request, epoch, Outcome.FAILED, error=failure)


def _turn_of(ask: Ask) -> Turn:
    return Turn(ask.grant.tenant, ask.route.tokens + ask.route.max_tokens, ask.route.priority, ask.grant.exp)
