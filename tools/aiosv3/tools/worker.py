"""Tool workers: pull a zone's topic, call its servers, answer on ``tool-results.<zone>`` first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.records import Outcome, StepFailure
from aiosv3.schemas.sealing import (
    ANSWER,
    TOOL,
    DataKey,
    KeyShredded,
    NoKey,
    SealError,
    key_id_of,
    open_sealed,
    seal,
)
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.tooling import ToolRequest, ToolResult
from aiosv3.streams.answers import AVRO, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.errors import ClaimError
from aiosv3.streams.keys import KeyRing, UnresolvedKey
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.requests import Ask, read_request
from aiosv3.tools.errors import AnswerMalformed, AnswerTooLarge, ToolError, ToolRefused
from aiosv3.tools.served import Done, ServedTools
from aiosv3.tools.zones import Zone

RESULT_TYPE: Final = b"aiosv3.tool-result"


class ToolWorker:
    """Implements :class:`~aiosv3.streams.effector.Effector` for one zone. ``clock``: milliseconds since the epoch.

    ``work`` raises nothing but cancellation: an error that leaves it would have the runtime call the tool again.
    """

    def __init__(
        self,
        zone: Zone,
        servers: Mapping[str, ServedTools],
        codec: Codec,
        clock: Callable[[], int],
        claims: ClaimStore | None = None,
        ring: KeyRing | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ring = ring
        self.zone = zone
        self._servers = dict(servers)
        for server in self._servers.values():
            server.alive = alive
        self._codec = codec
        self._clock = clock
        self._claims = claims

    async def aclose(self) -> None:
        """Ends every server's session or process."""
        for server in self._servers.values():
            await server.aclose()

    def read(self, record: Record) -> Request | Unresolved:
        request = read_request(record)
        if record.value is None:
            raise MalformedValue("a tool request without a value")
        try:
            body = self._opened(request.body, self._codec.decode_as(ToolRequest, record.value))
        except UnresolvedSchema as error:
            return Unresolved(self._codec.store.resolve(error.schema_id))
        except UnresolvedKey as error:
            return Unresolved(error.resolved())
        return request._replace(body=(request.body, body))

    def _opened(self, ask: Ask, body: ToolRequest) -> ToolRequest:
        """The request with its arguments; as it is where they cannot be opened, which ``ask`` then knows."""
        if not isinstance(body.content, bytes):
            return body
        try:
            if self._ring is None:
                raise NoKey("this worker has no keys: set [sealing]")
            key = self._ring.get(key_id_of(body.content))
            plain = open_sealed(key, TOOL, body.request_id, body.content)
        except SealError as error:
            ask.unreadable = error
            return body
        ask.key = key
        return replace(body, content=plain.decode("utf-8", "surrogatepass"))

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """The call; or at once a failed answer when it must not be made (clearance, deadline, sealed content)."""
        ask, body = request.body
        if (failure := self._forbidden(ask, body)) is not None:
            return self._result(request, epoch, error=failure)
        return self._work(request, epoch)

    def _forbidden(self, ask: Ask, body: ToolRequest) -> StepFailure | None:
        zone = self.zone
        if ask.grant.clearance > zone.clearance:
            words = f"{ask.grant.clearance.label} data reached zone {zone.name}, which may see {zone.clearance.label}"
            return StepFailure("ClearanceDenied", f"{words}: no tool was called", retryable=False)
        if ask.grant.exp is not None and ask.grant.exp <= self._clock():
            return StepFailure("StepTimeout", "the task's deadline passed before the tool was called", retryable=False)
        if isinstance(body.content, bytes):
            kind = "ContentShredded" if isinstance(ask.unreadable, KeyShredded) else "ClearanceDenied"
            words = f"zone {zone.name} cannot read these arguments, and no tool was called: {ask.unreadable}"
            return StepFailure(kind, words, retryable=False)
        return None

    async def _work(self, request: Request, epoch: int) -> Outgoing:
        now = asyncio.get_running_loop().time
        began, calls = now(), 0
        try:
            done = await self._call(request)
            calls = done.calls
            content, claim = await self._fitted(done.value, request.body[0].key, request.id)
        except (ToolError, ClaimError) as error:
            failure = self._failure(error, request)
            calls = max(calls, error.calls if isinstance(error, ToolError) else 0)
            return self._result(request, epoch, error=failure, calls=calls, took=now() - began)
        took = now() - began
        return self._result(request, epoch, content=content, claim=claim, calls=calls, took=took)

    async def _call(self, request: Request) -> Done:
        ask, body = request.body
        server = self._servers.get(body.server)
        if server is None:
            known = ", ".join(sorted(self._servers)) or "none"
            raise ToolRefused(f"zone {self.zone.name} has no server {body.server!r}; it has {known}")
        left = None if ask.grant.exp is None else (ask.grant.exp - self._clock()) / 1000
        return await server.call(body.tool, _arguments(body.content), request.id, left)

    async def _fitted(self, value: Any, key: DataKey | None, place: str) -> tuple[str, str | None]:
        """The value as JSON text; where that is long, its beginning, and the claim under which the store has it.

        With a ``key`` the store has it sealed.
        """
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise AnswerMalformed(f"the answer is no JSON: {error}") from None
        raw = text.encode("utf-8", "replace")  # half a surrogate pair fits into JSON and into nothing else
        if len(raw) > self.zone.hard_bytes:
            raise AnswerTooLarge(f"an answer of {len(raw)} bytes, the zone takes {self.zone.hard_bytes}")
        if len(raw) <= self.zone.max_bytes:
            return raw.decode(), None
        if self._claims is None:
            words = f"an answer of {len(raw)} bytes is over {self.zone.max_bytes}, and this worker has no claim store"
            raise AnswerTooLarge(words)
        preview = raw[: 4 * self.zone.preview].decode("utf-8", "ignore")[: self.zone.preview]
        stored = raw if key is None else seal(key, ANSWER, place, raw)
        return json.dumps(preview, ensure_ascii=False), await self._claims.put(stored)

    def _failure(self, error: AiosError, request: Request) -> StepFailure:
        ask, body = request.body
        expired = ask.grant.exp is not None and ask.grant.exp <= self._clock()
        kind = "StepTimeout" if expired else "ToolFailed"
        retryable = isinstance(error, ToolError) and error.retryable
        words = f"{self.zone.name}/{body.server}/{body.tool}: {type(error).__name__}: {error}"
        return StepFailure(kind, words, retryable=retryable)

    def _result(
        self,
        request: Request,
        epoch: int,
        *,
        content: str | None = None,
        claim: str | None = None,
        error: StepFailure | None = None,
        calls: int = 0,
        took: float = 0.0,
    ) -> Outgoing:
        ask, body = request.body
        told = sealed_answer(ask.key, f"{body.task_id}/{body.step_id}", content, error)
        result = ToolResult(
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
            outcome=Outcome.OK if error is None else Outcome.FAILED,
            error=told.error,
            zone=self.zone.name,
            server=body.server,
            tool=body.tool,
            calls=calls,
            latency_ms=round(took * 1000),
            content=told.content,
            claim=claim,
            content_key_id=told.content_key_id,
        )
        headers = event(RESULT_TYPE, request.id, provenance(request.record), AVRO, ask.traceparent)
        return Outgoing("", None, request.id.encode(), self._codec.encode(result), headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """The answer to the asker's journal."""
        if answer.value is None:
            raise MalformedValue("a tool result without a value")
        result = self._codec.decode_as(ToolResult, answer.value)
        if result.reply is None:
            return None
        back = answer_record(
            result.reply,
            result.request_hash,
            result.outcome,
            result.content,
            error=result.error,
            claim=result.claim,
            key_id=result.content_key_id,
        )
        source = provenance(request.record)
        return journal_outgoing(self._codec, result.reply.topic, result.reply.partition, back, source)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        words = f"{self.zone.name}: {type(error).__name__}: {error}"
        return self._result(request, epoch, error=StepFailure("ToolFailed", words, retryable=False))


def _arguments(content: str | bytes | None) -> dict[str, Any]:
    try:
        arguments = json.loads(content or "{}")
    except (ValueError, RecursionError) as error:
        raise ToolRefused(f"the arguments are no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise ToolRefused("the arguments are no JSON object")
    return arguments
