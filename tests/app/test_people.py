"""A person's client on a real broker: what is open, and what it says when no desk answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aiosv3.agents.worker.desk import AnswerRefused
from aiosv3.agents.worker.questions import place_of, verdict_outgoing
from aiosv3.app.people import Answered, NoSuchQuestion, NotAccepted, People, user_name
from aiosv3.app.settings import load_settings
from aiosv3.app.topology import base_topics
from aiosv3.app.workers import clock, ensure, open_mesh
from aiosv3.schemas.people import AnswerVerdict, Question, QuestionKind
from aiosv3.schemas.records import ReplyTo
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import appended


def question(number: int, **changed: Any) -> Question:
    reply = ReplyTo("j", 0, 0, f"t{number}", "1", "token")
    asked = Question(
        *(f"t{number}/1", "t", f"t{number}", "1", "worker", "acme"),
        QuestionKind.APPROVE,
        None,
        None,
        number,
        None,
        "h",
        reply,
    )
    return replace(asked, **changed)


def test_who_works_here_has_a_name_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "zoe")
    assert user_name() == "zoe"

    def nobody() -> str:
        raise KeyError("uid 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert user_name() == ""


@pytest.mark.kafka
async def test_open_questions_and_an_answer_that_no_desk_reads(idle: Any) -> None:
    settings = load_settings(idle.file)
    async with open_mesh(settings, "test") as mesh:
        people = People(mesh)
        assert await people.open_questions() == []
        with pytest.raises(NoSuchQuestion):
            await people.question("t1/1")
        await ensure(mesh, base_topics(settings, mesh.topics))
        late, first, expired, closed = (
            question(4),
            question(1),
            question(2, expires_at=clock() - 1),
            question(3),
        )
        for one in (late, first, expired, closed):
            key = one.request_id.encode()
            place = place_of(one.request_id, settings.kafka.partitions)
            await appended(mesh.log, Outgoing(mesh.topics.approvals(), place, key, mesh.codec.encode(one), []))
        verdict = AnswerVerdict(closed.request_id, "a", "ann", True, 5)
        place = place_of(closed.request_id, settings.kafka.partitions)
        await appended(mesh.log, verdict_outgoing(mesh.codec, mesh.topics, place, verdict, b"test"))

        assert await people.open_questions() == [first, late]
        with pytest.raises(AnswerRefused, match="answered before"):
            await people.question(closed.request_id)
        with pytest.raises(AnswerRefused, match="expired at"):
            await people.answer(await people.question(expired.request_id), Answered("ann", True), 0)
        with pytest.raises(NotAccepted, match="'aiosv3 worker desk' has to run"):
            await people.answer(first, Answered("ann", True), 0.2)
