"""The desk: reads ``approvals`` and gives accepted answers of people to the agents that asked.

It has no own log: the first record of a step id in the asker's journal decides, so an answer that is given twice, by a
desk that crashed or by two at once, counts once (docs/adr/0013).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiosv3.agents.people import approval_content
from aiosv3.agents.worker.questions import Entry, QuestionTable, Roles, entry_in, refusal, verdict_outgoing
from aiosv3.agents.worker.sealedpeople import UNSAID, opened_person_answer
from aiosv3.agents.worker.sealing import fetching
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question, QuestionKind
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.sealing import DataKey, SealError
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import answer_record, journal_outgoing
from aiosv3.streams.commit import Commit
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.keys import KeyRing, UnresolvedKey
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.log import Appended, Committed, Outgoing, Record
from aiosv3.streams.ownlog import Learned, provenance
from aiosv3.streams.tenure import Phase, Tenure, Wiring

_RETRY_S: Final = 0.5
_IN_WORK: Final = 1_000
_LOG: Final = logging.getLogger(__name__)


class AnswerRefused(AiosError):
    """A person's answer is not accepted; the message says why."""


@dataclass(frozen=True, slots=True)
class DeskSetup:
    """What all partitions of the desk share. ``roles``: the people of the project, see :data:`Roles`."""

    codec: Codec
    store: SchemaStore
    topics: Topics
    roles: Roles = field(default_factory=dict)
    ring: KeyRing | None = None
    """Opens what people are asked and answer, where it is sealed."""


class DeskTenure(Tenure):
    """One partition of ``approvals``. Its table of questions is read whole before any answer is looked at."""

    def __init__(
        self, wiring: Wiring, partition: int, committed: Committed | None, start: Commit, *, setup: DeskSetup
    ) -> None:
        super().__init__(wiring, partition, committed, start)
        self._setup = setup
        self.table = QuestionTable()
        self._graveyard = Graveyard(wiring, setup.topics.dead_letters())

    # -- what the base asks ---------------------------------------------------------------------------------------

    def learn(self, record: Record) -> Learned:
        return Learned(None, -1)

    def room(self) -> bool:
        return self.offsets.open < _IN_WORK and not self.offsets.full()

    def halt(self) -> None:
        self._graveyard.close()

    def begin(self) -> None:
        """No marker and no own log to restore: only the table of questions."""
        self._restoring = asyncio.get_running_loop().create_task(self._read_table())

    async def _read_table(self) -> None:
        while self.phase is Phase.RESTORING:
            try:
                self.table = await self._table()
                self.phase = Phase.RUNNING
            except AiosError as error:
                _LOG.warning("%s[%s]: restore again in a moment: %s", self.wiring.name, self.partition, error)
                await asyncio.sleep(_RETRY_S)
        self.pump()

    async def _table(self) -> QuestionTable:
        topic, log, table = self.wiring.input_topic, self.wiring.log, QuestionTable()
        bounds = await log.bounds(topic, self.partition)
        async for batch in log.read(topic, self.partition, bounds.start, bounds.end):
            for record in batch:
                if (entry := await self._entry(record)) is not None:
                    table.learn(entry)
        return table

    async def _entry(self, record: Record) -> Entry | None:
        """None for a tombstone and for what nobody can read, which is a dead letter when its turn comes."""
        if record.value is None:
            return None
        try:
            return await self._readable(record.value)
        except WireError:
            return None

    async def _readable(self, value: bytes) -> Entry:
        while True:
            try:
                return entry_in(self._setup.codec, value)
            except UnresolvedSchema as error:
                await self._setup.store.resolve(error.schema_id)

    # -- answers --------------------------------------------------------------------------------------------------

    def admit(self, record: Record) -> Awaitable[object] | None:
        try:
            entry = entry_in(self._setup.codec, record.value) if record.value is not None else None
            if isinstance(entry, PersonAnswer):
                with suppress(SealError):  # it is refused for that
                    entry = opened_person_answer(self._setup.ring, entry)
        except (UnresolvedSchema, UnresolvedKey) as missing:
            return fetching(self._setup.store, missing)
        except WireError as error:
            self.poison(record, error)
            return None
        self._received(record)
        if isinstance(entry, PersonAnswer):
            self._decide(record, entry)
        else:
            if entry is not None:
                self.table.learn(entry)
            self.complete(record.offset)
        return None

    def _received(self, record: Record) -> None:
        self.wiring.metrics.received.inc()
        self.offsets.admit(record.offset, 0)

    def poison(self, record: Record, error: WireError) -> None:
        self._received(record)
        self._graveyard.bury(record, error, lambda: self.complete(record.offset))

    def _decide(self, record: Record, answer: PersonAnswer) -> None:
        closed_by = self.table.closed.get(answer.request_id)
        if closed_by == answer.answer_id:
            self.complete(record.offset)  # accepted before a restart
            return
        question = self.table.open.get(answer.request_id)
        if question is None:
            reason = "there is no such question" if closed_by is None else "somebody answered before"
            self._refuse(record, answer, reason)
        elif (refused := self._refusal(question, answer, record.timestamp)) is not None:
            self._refuse(record, answer, refused)
        else:
            self.table.close(answer.request_id, answer.answer_id)
            self._accept(record, question, answer)

    def _refusal(self, question: Question, answer: PersonAnswer, at: int) -> str | None:
        """The reply address is checked too: a forged question must not write to a journal of somebody else's."""
        if question.reply.topic != self._setup.topics.journal(question.agent):
            return f"the question wants its answer on {question.reply.topic}, which is not its agent's journal"
        reason = refusal(question, answer, at, self._setup.roles)
        quotes = reason is not None and question.content_key_id is not None and "does not fit" in reason
        return UNSAID if quotes else reason

    def _accept(self, record: Record, question: Question, answer: PersonAnswer) -> None:
        """To the asker's journal, acknowledged; then the question is closed for everybody; then the input is done."""
        content = answer.content
        if question.kind is QuestionKind.APPROVE:
            approved = answer.approved is True
            content = approval_content(answer.who, record.timestamp, answer.comment, approved=approved)
        reply = question.reply
        text = content if isinstance(content, str) else None
        made = sealed_answer(self._key(question), question.request_id, text)
        key_id = made.content_key_id
        given = answer_record(reply, question.request_hash, Outcome.OK, made.content, key_id=key_id)
        onward = journal_outgoing(self._setup.codec, reply.topic, reply.partition, given, provenance(record))

        def failed(error: AppendFailed) -> None:
            self.table.reopen(question)
            self._refuse(record, answer, f"the asker's journal does not take it: {error}")

        self._append(onward, lambda: self._close(record, answer, None), failed)

    def _key(self, question: Question) -> DataKey | None:
        """Of a question that is sealed; None where its answer came in plain, and there is no key at hand."""
        ring, key_id = self._setup.ring, question.content_key_id
        try:
            return None if ring is None or key_id is None else ring.get(key_id)
        except (UnresolvedKey, SealError):
            return None

    def _refuse(self, record: Record, answer: PersonAnswer, reason: str) -> None:
        error = AnswerRefused(f"the answer of {answer.who} to {answer.request_id} is refused: {reason}")
        self._graveyard.bury(record, error, lambda: self._close(record, answer, reason))

    def _close(self, record: Record, answer: PersonAnswer, reason: str | None) -> None:
        verdict = AnswerVerdict(
            answer.request_id, answer.answer_id, answer.who, reason is None, record.timestamp, reason
        )
        topics, source = self._setup.topics, provenance(record)
        said = verdict_outgoing(self._setup.codec, topics, self.partition, verdict, source)
        self._append(said, lambda: self.complete(record.offset), lambda _error: self.complete(record.offset))

    def _append(self, record: Outgoing, then: Callable[[], None], failed: Callable[[AppendFailed], None]) -> None:
        """Appends until the outcome is known: twice is as good as once."""

        def done(ack: Appended | AppendFailed) -> None:
            if self.phase is Phase.STOPPED:
                return
            if isinstance(ack, AppendUnknown):
                self.wiring.log.append(record, done)
            elif isinstance(ack, AppendFailed):
                failed(ack)
            else:
                then()

        self.wiring.log.append(record, done)
