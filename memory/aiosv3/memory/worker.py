"""Memory workers: requests on ``memory.queries``, the memory log as their own, recalls straight to the asker."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiosv3.memory.access import Asker, Teams, asker_of, refusal
from aiosv3.memory.answers import built, noted, text_of
from aiosv3.memory.contents import Contents, Said
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.fold import SUBJECT, Ended, Fold, Key, Known, Order
from aiosv3.memory.rebuilding import LiveRebuild
from aiosv3.memory.recalling import AsOfPruned, Recalling
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.speaking import spoken
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedValue, WireError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import MemoryAction, MemoryEvent, MemoryQuery, content_hash_of, place_in
from aiosv3.schemas.records import Outcome, StepFailure
from aiosv3.schemas.sealing import NoKey
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.answers import AVRO, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.errors import KeysUnavailable, Retryable
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.requests import Ask, read_request

EVENT_TYPE: Final = b"aiosv3.memory-event"
_FORGETS_KEPT: Final = 4_096
_BY_TIME: Final = b"aiosv3-memory"
"""``ce_source`` of what nobody asked for."""
_TOO_LATE: Final = "it, or whom it is about, was forgotten after this was asked for"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was read: its headers, its body, and who it comes from."""

    ask: Ask
    query: MemoryQuery
    asker: Asker


def _order(request: Request) -> Order:
    return Order(request.record.offset, request.first_sent)


class Expiry(NamedTuple):
    """A memory whose time is over, as an event; ``id``: the same whoever says it."""

    id: str
    record: Outgoing


class MemoryWorker:
    """Implements :class:`~aiosv3.streams.effector.Effector`. ``clock``: milliseconds since the epoch.

    What is remembered or forgotten becomes an event; what that does is decided by whoever reads it (``fold``).
    """

    def __init__(
        self,
        codec: Codec,
        secret: bytes,
        teams: Teams,
        contents: Contents,
        embedding: Embedding,
        recalling: Recalling,
        clock: Callable[[], int],
        rebuild: LiveRebuild | None = None,
    ) -> None:
        self._codec = codec
        self._secret = secret
        self._teams = teams
        self._contents = contents
        self._embedding = embedding
        self._recalling = recalling
        self._clock = clock
        self._live = rebuild
        self._last: tuple[Record, Request] | None = None
        self._forgets: dict[int, Fold] = {}
        """By partition: what this worker was asked to forget, from the moment at which it begins to."""

    def read(self, record: Record) -> Request | Unresolved:
        if self._last is not None and self._last[0] is record:
            return self._last[1]
        request = read_request(record)
        if record.value is None:
            raise MalformedValue("a request to memory without a value")
        try:
            query = self._codec.decode_as(MemoryQuery, record.value)
        except UnresolvedSchema as error:
            return Unresolved(self._codec.store.resolve(error.schema_id))
        ask: Ask = request.body
        request = request._replace(body=Asked(ask, query, asker_of(ask.grant, ask.route, self._teams)))
        self._last = record, request
        return request

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    # -- what is remembered and forgotten -------------------------------------------------------------------------

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """The event; or at once a refusal."""
        asked: Asked = request.body
        failure = self._late(asked) or refusal(asked.query, asked.asker, self._secret)
        if failure is not None:
            return self._event(request, epoch, error=failure)
        if asked.query.action is MemoryAction.FORGET:
            return self._forget(request, epoch)
        if asked.query.action is MemoryAction.REMEMBER:
            return self._remember(request, epoch)
        if asked.query.action is MemoryAction.REBUILD:
            return self._rebuild(request, epoch)
        return self._event(request, epoch)

    def _late(self, asked: Asked) -> StepFailure | None:
        expiry = asked.ask.grant.exp
        if expiry is None or expiry > self._clock() or asked.query.action is MemoryAction.FORGET:
            return None
        return StepFailure("StepTimeout", "the task's deadline passed before memory was asked", retryable=False)

    async def _remember(self, request: Request, epoch: int) -> Outgoing:
        asked: Asked = request.body
        query, asker = asked.query, asked.asker
        try:
            text = await self._contents.text(query)
            vector = await self._embedding.vector(spoken(text, query.speaker))
            said = Said(text, vector)
            if self._too_late(request):
                return self._event(request, epoch, error=StepFailure("MemoryRefused", _TOO_LATE, retryable=False))
            written = await self._contents.write(said, asker.tenant, asker.clearance, query.subject, request.id)
        except KeysUnavailable as error:
            raise Retryable(str(error)) from None
        except NoKey as error:
            return self._event(request, epoch, error=StepFailure("ClearanceDenied", str(error), retryable=False))
        except WireError as error:
            return self._event(request, epoch, error=StepFailure("MemoryRefused", str(error), retryable=False))
        return self._event(
            request,
            epoch,
            embedder=None if vector is None else self._embedding.name,
            content_hash=self._hash(asker, query, text),
            content=written.content,
            content_key_id=written.content_key_id,
            vector=written.vector,
        )

    def _too_late(self, request: Request) -> bool:
        """It would change nothing, as every fold knows; but its content would be on the log, under a new key."""
        query, where = request.body.query, request.record.partition
        key, order = (request.body.asker.tenant, query.memory_id or ""), _order(request)
        folds = (self._recalling.feed.fold(where), self._forgets.get(where))
        return any(fold is not None and fold.has_forgotten(key, query.subject, order) for fold in folds)

    def _begins_to_forget(self, request: Request) -> None:
        query, known = request.body.query, self._forgets.setdefault(request.record.partition, Fold()).forgotten
        key = (request.body.asker.tenant, query.memory_id or SUBJECT + (query.subject or ""))
        before, order = known.pop(key, None), _order(request)
        known[key] = Ended(order if before is None else order.latest(before.order), -1)
        if len(known) > _FORGETS_KEPT:
            del known[next(iter(known))]  # its event has been on the log for long

    def _hash(self, asker: Asker, query: MemoryQuery, text: str) -> str:
        """Of all that somebody said; not of when they said it: the same again is one memory."""
        times = (query.valid_from, query.valid_to, query.expires_at)
        return content_hash_of(
            self._secret,
            asker.tenant,
            text,
            query.scope,
            query.subject,
            query.kind,
            query.source,
            str(query.position),
            query.speaker,
            *(None if time is None else str(time) for time in times),
            str(query.trust),
            repr(query.importance),
            asker.clearance.label,
        )

    async def _forget(self, request: Request, epoch: int) -> Outgoing:
        """The keys first: an event says what is so already. Worked on again it destroys nothing new."""
        asked: Asked = request.body
        subject = asked.query.subject
        self._begins_to_forget(request)
        try:
            shredded = () if subject is None else await self._contents.shred(asked.asker.tenant, subject)
        except KeysUnavailable as error:
            raise Retryable(str(error)) from None
        return self._event(request, epoch, shredded=tuple(shredded))

    async def _rebuild(self, request: Request, epoch: int) -> Outgoing:
        """Recalls go on meanwhile. The event says what came of it."""
        asked: Asked = request.body
        if self._live is None:
            words = "this worker's view is not rebuilt on request"
            return self._event(request, epoch, error=StepFailure("MemoryRefused", words, retryable=False))
        try:
            rebuilt = await self._live.run(asked.query.source or request.id)
        except AiosError as error:
            return self._event(request, epoch, error=StepFailure(type(error).__name__, str(error), retryable=False))
        return self._event(request, epoch, content=text_of(built(rebuilt)))

    def _event(self, request: Request, epoch: int, *, error: StepFailure | None = None, **made: Any) -> Outgoing:
        asked: Asked = request.body
        query, ask = asked.query, asked.ask
        record = MemoryEvent(
            request_id=request.id,
            root_id=ask.grant.root,
            task_id=query.task_id,
            step_id=query.step_id,
            agent=asked.asker.agent,
            input_offset=request.record.offset,
            epoch=epoch,
            request_hash=ask.route.hash,
            first_sent=request.first_sent,
            reply=reply_to(ask.reply),
            outcome=Outcome.OK if error is None else Outcome.FAILED,
            error=error,
            action=query.action,
            tenant=asked.asker.tenant,
            clearance=asked.asker.clearance.label,
            memory_id=query.memory_id,
            scope=query.scope,
            subject=query.subject,
            kind=query.kind,
            source=query.source,
            position=query.position,
            speaker=query.speaker,
            valid_from=query.valid_from,
            valid_to=query.valid_to,
            expires_at=query.expires_at,
            trust=query.trust,
            importance=query.importance,
            supersedes=query.supersedes,
            from_task=query.from_task,
            model=query.model,
            **made,
        )
        headers = event(EVENT_TYPE, request.id, provenance(request.record), AVRO, ask.traceparent)
        return Outgoing("", None, request.record.key, self._codec.encode(record), headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """To the asker's journal: where the event stands, or why there is none of effect."""
        if answer.value is None:
            raise MalformedValue("a memory event without a value")
        done = self._codec.decode_as(MemoryEvent, answer.value)
        if done.reply is None:
            return None
        content = None
        if done.outcome is Outcome.OK and isinstance(answer, Record):
            content = text_of(noted(done, answer.partition, answer.offset))
        back = answer_record(done.reply, done.request_hash, done.outcome, content, error=done.error)
        source = provenance(answer) if isinstance(answer, Record) else provenance(request.record)
        return journal_outgoing(self._codec, done.reply.topic, done.reply.partition, back, source)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        words = f"memory: {type(error).__name__}: {error}"
        return self._event(request, epoch, error=StepFailure("MemoryUnavailable", words, retryable=False))

    def expired(self, partition: int, epoch: int) -> list[Expiry]:
        """What is over by its own time in a partition, once for each version; empty while the view is behind."""
        if not self._recalling.feed.ready.is_set():
            return []
        found = self._recalling.feed.fold(partition).due(self._clock())
        return [self._expiry(key, known, epoch) for key, known in found]

    def _expiry(self, key: Key, known: Known, epoch: int) -> Expiry:
        tenant, memory_id = key
        name = f"expire/{memory_id}/{known.version}"
        record = MemoryEvent(
            request_id=name,
            root_id="",
            task_id="",
            step_id="",
            agent="",
            input_offset=known.order.input,
            epoch=epoch,
            request_hash="",
            first_sent=known.order.sent,
            reply=None,
            outcome=Outcome.OK,
            error=None,
            action=MemoryAction.EXPIRE,
            tenant=tenant,
            clearance=Clearance.PUBLIC.label,
            memory_id=memory_id,
            scope=known.scope,
            subject=known.subject,
            expires_at=known.expires_at,
        )
        headers = event(EVENT_TYPE, name, _BY_TIME, AVRO, b"")
        return Expiry(name, Outgoing("", None, place_in(memory_id).encode(), self._codec.encode(record), headers))

    # -- what is recalled -----------------------------------------------------------------------------------------

    def recalls(self, request: Request) -> bool:
        """Whether this request only reads: it is answered without an event."""
        asked: Asked = request.body
        return asked.query.action is MemoryAction.RECALL

    async def recall(self, request: Request) -> Outgoing | None:
        """The answer to the asker's journal; None when nobody waits. Raises nothing but cancellation."""
        asked: Asked = request.body
        reply = reply_to(asked.ask.reply)
        if reply is None:
            return None
        content, failure = None, self._late(asked) or refusal(asked.query, asked.asker, self._secret)
        if failure is None:
            content, failure = await self._look_up(asked)
        try:
            key = await self._contents.key(asked.query)
        except AiosError as error:
            key, content, failure = None, None, StepFailure("MemoryUnavailable", str(error), retryable=True)
        outcome = Outcome.OK if failure is None else Outcome.FAILED
        made = sealed_answer(key, f"{reply.task}/{reply.step}", content, failure)
        back = answer_record(
            reply, asked.ask.route.hash, outcome, made.content, error=made.error, key_id=made.content_key_id
        )
        return journal_outgoing(self._codec, reply.topic, reply.partition, back, provenance(request.record))

    async def _look_up(self, asked: Asked) -> tuple[str | None, StepFailure | None]:
        try:
            text = await self._contents.text(asked.query)
            return text_of(await self._recalling.recall(asked.asker, asked.query, text)), None
        except AsOfPruned as error:
            return None, StepFailure("AsOfPruned", str(error), retryable=False)
        except ViewUnavailable as error:
            return None, StepFailure("MemoryUnavailable", str(error), retryable=True)
        except WireError as error:
            return None, StepFailure("MemoryRefused", str(error), retryable=False)
        except Exception as error:  # noqa: BLE001 -- whoever waits must hear something; the log says what it was
            _LOG.exception("a recall of task %s failed", asked.query.task_id)
            return None, StepFailure("MemoryUnavailable", f"{type(error).__name__}: {error}", retryable=True)
