"""Questions to people, read from ``approvals``, and answers given there: what a person's client does."""

from __future__ import annotations

import asyncio
import getpass
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiosv3.agents.worker.desk import AnswerRefused
from aiosv3.agents.worker.questions import Entry, QuestionTable, answer_outgoing, entry_in, place_of, refusal
from aiosv3.agents.worker.sealedpeople import opened_question, sealed_person_answer
from aiosv3.app.reading import Reading
from aiosv3.app.workers import Mesh, clock
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question
from aiosv3.schemas.sealing import SealError
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.keys import KeyRing
from aiosv3.streams.keys.ring import settled
from aiosv3.streams.log import Record
from aiosv3.streams.tenure import appended

_SOURCE: Final = b"aiosv3/cli"
_POLL_S: Final = 0.1
_LOG: Final = logging.getLogger(__name__)


class NoSuchQuestion(AiosError):
    """There is no question of this id."""


class NotAccepted(AiosError):
    """An answer is on ``approvals``, and no desk has said anything about it yet."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a person says to one question. ``approved`` for APPROVE, ``content`` (JSON text) for ASK."""

    who: str
    approved: bool | None = None
    comment: str | None = None
    content: str | None = None


def user_name() -> str:
    """Who works here, as the operating system says; empty where it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


@dataclass(frozen=True, slots=True)
class People:
    """Through one mesh's connection."""

    mesh: Mesh
    ring: KeyRing | None = None
    """Opens what is sealed. Without it questions stay sealed, and a sealed one cannot be answered."""

    async def open_questions(self) -> list[Question]:
        """Every question that may still be answered, oldest first."""
        now, found = clock(), list[Question]()
        for partition in range(await self._partitions()):
            table = await self._table(partition)
            found += [q for q in table.open.values() if q.expires_at is None or q.expires_at > now]
        shown = [await self._opened(question) for question in found]
        return sorted(shown, key=lambda question: (question.asked_at, question.request_id))

    async def _opened(self, question: Question) -> Question:
        try:
            return await settled(lambda: opened_question(self.ring, question))
        except SealError as error:
            _LOG.info("question %s stays sealed: %s", question.request_id, error)
            return question

    async def question(self, request_id: str) -> Question:
        """An open question; expired ones too. Raises NoSuchQuestion, AnswerRefused when it was answered before."""
        partitions = await self._partitions()
        table = await self._table(place_of(request_id, partitions)) if partitions else QuestionTable()
        question = table.open.get(request_id)
        if question is not None:
            return await self._opened(question)
        if request_id in table.closed:
            raise AnswerRefused(f"{request_id} was answered before")
        raise NoSuchQuestion(f"there is no question {request_id!r}: 'aiosv3 approvals list' shows the open ones")

    async def answer(self, question: Question, answered: Answered, wait: float) -> AnswerVerdict:
        """Gives an answer and waits up to ``wait`` seconds until a desk has accepted it.

        Raises AnswerRefused (by the rules of this project's settings at once, by the desk's else), NotAccepted.
        """
        answer = PersonAnswer(
            question.request_id,
            str(uuid.uuid4()),
            answered.who,
            clock(),
            question.reply.token,
            answered.approved,
            answered.comment,
            answered.content,
        )
        mesh = self.mesh
        reason = refusal(question, answer, clock(), mesh.settings.roles)
        if reason is not None:
            raise AnswerRefused(reason)
        given = answer
        answer = await settled(lambda: sealed_person_answer(self.ring, question, given))
        partition = place_of(question.request_id, await self._partitions())
        record = answer_outgoing(mesh.codec, mesh.topics, partition, answer, _SOURCE)
        verdict = await self._verdict(answer, partition, (await appended(mesh.log, record)).offset, wait)
        if verdict is None:
            raise NotAccepted(
                f"the answer to {answer.request_id} is sent, but nobody accepted it within {wait:g} s: "
                "'aiosv3 worker desk' has to run; the answer waits for it"
            )
        if verdict.answer_id != answer.answer_id:
            raise AnswerRefused(f"{verdict.who} answered {verdict.request_id} before")
        if not verdict.accepted:
            raise AnswerRefused(verdict.reason or "refused")
        return verdict

    async def _verdict(self, answer: PersonAnswer, partition: int, start: int, wait: float) -> AnswerVerdict | None:
        loop = asyncio.get_running_loop()
        deadline, position = loop.time() + wait, start
        while True:
            async for record, entry in self._entries(partition, position):
                position = record.offset + 1
                if not isinstance(entry, AnswerVerdict) or entry.request_id != answer.request_id:
                    continue
                if entry.accepted or entry.answer_id == answer.answer_id:
                    return entry
            if loop.time() >= deadline:
                return None
            await asyncio.sleep(_POLL_S)

    async def _partitions(self) -> int:
        return await Reading(self.mesh).partitions(self.mesh.topics.approvals())

    async def _table(self, partition: int) -> QuestionTable:
        table = QuestionTable()
        async for _, entry in self._entries(partition, 0):
            table.learn(entry)
        return table

    async def _entries(self, partition: int, start: int) -> AsyncIterator[tuple[Record, Entry]]:
        mesh = self.mesh
        async for record in Reading(mesh).records(mesh.topics.approvals(), partition, start):
            if record.value is None:
                continue
            try:
                yield record, await self._entry(record.value)
            except WireError as error:
                _LOG.info("%s[%s]@%s is skipped: %s", *record[:3], error)

    async def _entry(self, value: bytes) -> Entry:
        try:
            return entry_in(self.mesh.codec, value)
        except UnresolvedSchema as error:
            await self.mesh.store.resolve(error.schema_id)
            return entry_in(self.mesh.codec, value)
