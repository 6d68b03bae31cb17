"""How an agent's worker seals what its tasks say, and opens what it reads (docs/sealing.md)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.records import CarryEntry, JournalRecord, ModelRequest, Outcome, StepFailure
from aiosv3.schemas.sealing import (
    ANSWER,
    PLAIN,
    PROMPT,
    STATE,
    TASK,
    ContentKeys,
    KeyedHashes,
    KeyShredded,
    NoKey,
    SealError,
    is_sealed,
    key_id_of,
    seal,
)
from aiosv3.schemas.state import StateRecord
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.keys import KeyRing, UnresolvedKey
from aiosv3.streams.keys.answers import opened_answer, sealed_answer
from aiosv3.streams.keys.ring import StartedBefore
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from aiosv3.agents.agent import Agent
    from aiosv3.agents.task import TaskRun
    from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope

_HASHED: Final = re.compile(r"keyed:([0-9a-f]{32})")
_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seals:
    """Of one agent's worker. ``since``: the class from which on content is sealed; None: nothing is.

    ``ring`` without ``since`` opens what others sealed. ``hashes`` None: subjects of tasks are dropped.
    """

    ring: KeyRing | None = None
    since: Clearance | None = None
    hashes: KeyedHashes | None = None

    # -- tasks ----------------------------------------------------------------------------------------------------

    def admitted(self, grant: Grant, record: Record) -> Grant:
        """The grant with the keyed hash of the subject that an outsider named. Raises MalformedHeader."""
        raw = record.header(names.CE_SUBJECT)
        if self.hashes is None or not raw or record.header(names.GRANT) is not None:
            return grant
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise MalformedHeader(f"header {names.CE_SUBJECT} is not UTF-8: {raw[:40]!r}") from None
        hashed = _HASHED.fullmatch(text)
        return replace(grant, subject=hashed[1] if hashed else self.hashes.subject(grant.tenant, text))

    def keys(self, grant: Grant, least: Clearance, started: int) -> ContentKeys:
        """The keys of a task of at least this class, started at ``started`` (ms of the broker).

        Raises UnresolvedKey, NoKey; StartedBefore, where keys of its subject were shredded since.
        """
        if self.ring is None or self.hashes is None:
            return PLAIN
        tenant = self.hashes.tenant(grant.tenant)
        if self.since is None:
            self.ring.check(tenant, grant.subject, started)
            return PLAIN
        return self.ring.content_keys(self.since, tenant, grant.subject, least, started)

    def over(self, grant: Grant, started: int) -> bool:
        """Whether keys of its subject were shredded after a task was started (ms of the broker)."""
        if self.ring is None or self.hashes is None:
            return False
        try:
            self.ring.check(self.hashes.tenant(grant.tenant), grant.subject, started)
        except StartedBefore:
            return True
        return False

    def value(self, task_id: str, raw: bytes) -> bytes:
        """The value of a task event, opened where it is sealed. Raises UnresolvedKey, SealError."""
        return self._open(TASK, task_id, raw) if is_sealed(raw) else raw

    def _open(self, kind: str, record_id: str, body: bytes) -> bytes:
        if self.ring is None:
            raise NoKey(
                f"{kind} {record_id} is sealed with key {key_id_of(body)}, and this worker has no keys: set [sealing]"
            )
        return self.ring.open(kind, record_id, body)

    # -- what tasks are fed ---------------------------------------------------------------------------------------

    def opened(self, record: JournalRecord) -> JournalRecord:
        """A journal record as its task is fed it. Raises UnresolvedKey.

        What was sealed with a shredded key is a failed answer. Without the key the record stays sealed: its task is
        stuck until a worker has it.
        """
        if not isinstance(record.content, bytes):
            return record
        place = f"{record.task_id}/{record.step_id}"
        try:
            return opened_answer(record, self._open(ANSWER, place, record.content))
        except NoKey as error:
            _LOG.error("the answer to %s cannot be opened here: %s", place, error)
            return record
        except SealError as error:
            kind = "ContentShredded" if isinstance(error, KeyShredded) else "RecordRejected"
            failure = StepFailure(kind, str(error), retryable=False, step=record.step_id)
            return replace(record, outcome=Outcome.FAILED, error=failure, content=None, content_key_id=None)

    def state(self, place: str, body: bytes) -> bytes | None:
        """The state of a key; None where its key is shredded: it has none. Raises UnresolvedKey, SealError."""
        try:
            return self._open(STATE, place, body)
        except KeyShredded:
            return None

    async def resolve(self, bodies: Iterable[Any]) -> None:
        """Reads the keys of those that are sealed, so that opening them need not wait. Raises KeysUnavailable."""
        if self.ring is not None:
            await self.ring.resolve({key_id_of(body) for body in bodies if isinstance(body, bytes) and is_sealed(body)})

    async def resolve_entries(self, codec: Codec, entries: Iterable[CarryEntry]) -> None:
        """The same for the journal in a carry. Raises KeysUnavailable, WireError, UnresolvedSchema."""
        if self.ring is not None:
            await self.resolve([codec.decode_as(JournalRecord, entry.value).content for entry in entries])


NO_SEALS: Final = Seals()


def sealed_prompt(codec: Codec, keys: ContentKeys, clearance: Clearance, body: ModelRequest) -> ModelRequest:
    """The request with its prompt sealed, if its class asks for it: as the whole of what the request is in plain."""
    key = keys.key(clearance)
    if key is None:
        return body
    return replace(body, content=seal(key, PROMPT, body.request_id, codec.encode(body)), content_key_id=key.id)


def sealed_result(
    agent: Agent[Any, Any], codec: Codec, schemas: AgentSchemas, run: TaskRun, plain: ResultEnvelope[Any]
) -> ResultEnvelope[Any]:
    """A result as it goes out: its output as the JSON that a calling agent's journal holds, its state as its record.

    ``plain`` fits the agent's schema. Raises ValueError and TypeError for an output that is no JSON.
    """
    key = run.task.keys.key(run.clearance)
    if key is None:
        return plain
    content = None
    if plain.outcome is Outcome.OK:
        content = agent.output_adapter.dump_json(plain.content).decode()
    made = sealed_answer(key, plain.task_id, content, plain.error)
    state = plain.state
    if state is not None and schemas.state is not None and not state.deletes:
        place = state_place(plain.task_key or "", plain.input_offset)
        record = schemas.state.encode(codec, StateRecord(plain.task_key or "", plain.input_offset, -1, state))
        state = replace(state, content=None, sealed=seal(key, STATE, place, record), content_key_id=key.id)
    body = made.content if isinstance(made.content, bytes) else None
    return replace(plain, content=None, error=made.error, sealed=body, content_key_id=made.content_key_id, state=state)


def fetching(store: SchemaStore, missing: UnresolvedSchema | UnresolvedKey) -> Awaitable[object]:
    """What has to be waited for before a record can be read."""
    return missing.resolved() if isinstance(missing, UnresolvedKey) else store.resolve(missing.schema_id)


async def settled_soon(missing: UnresolvedKey) -> None:
    """Waits for it as long as it takes."""
    while True:
        try:
            await missing.resolved()
            return
        except KeysUnavailable as error:
            _LOG.warning("waits: %s", error)
            await asyncio.sleep(_RETRY_S)


def state_place(task_key: str, input_offset: int) -> str:
    """What a sealed state is bound to: no older one of the same key can take its place."""
    return f"{task_key}@{input_offset}"
