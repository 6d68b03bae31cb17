"""Records of ``approvals``: where they lie and under which keys. Which answers are accepted: test_desk.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.agents.worker.questions import QuestionTable, answer_outgoing, entry_in, place_of, refusal, verdict_outgoing
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question, QuestionKind
from aiosv3.schemas.records import PoolState, PoolStatus, ReplyTo
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics

REPLY = ReplyTo("aios.journal.worker", 0, 3, "t", "1", "token")
QUESTION = Question(
    *("t/1", "t", "t", "1", "worker", "acme"), QuestionKind.APPROVE, "finance", "zoe", 1_000, 9_000, "hash", REPLY
)
ANSWER = PersonAnswer("t/1", "a1", "ann", 2_000, "token", True)
ROLES = {"ann": ["finance"]}


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


def test_each_record_has_a_key_of_its_own_in_the_partition_of_its_question(codec: Codec) -> None:
    place = place_of("t/1", 6)
    assert place == place_of(ANSWER.request_id, 6)
    yes = AnswerVerdict("t/1", "a1", "ann", True, 2_001)
    keys = [
        answer_outgoing(codec, Topics(), place, ANSWER, b"s").key,
        verdict_outgoing(codec, Topics(), place, yes, b"s").key,
        verdict_outgoing(codec, Topics(), place, replace(yes, accepted=False), b"s").key,
    ]
    assert keys == [b"t/1/answer/a1", b"t/1/closed", b"t/1/answer/a1/refused"]


@pytest.mark.parametrize("entry", [QUESTION, ANSWER, AnswerVerdict("t/1", "a1", "ann", True, 2_001, None)])
def test_entries_are_told_apart_by_their_schema(codec: Codec, entry: Question | PersonAnswer | AnswerVerdict) -> None:
    assert entry_in(codec, codec.encode(entry)) == entry


def test_what_is_no_record_of_approvals_is_malformed(codec: Codec) -> None:

    status = PoolStatus("p", "r", PoolState.UP, "k", "m", "public", 0, 1, None, 0, None, 1, "")
    with pytest.raises(MalformedValue, match="PoolStatus is no record of approvals"):
        entry_in(codec, codec.encode(status))


def test_the_moment_of_expiry_is_too_late(codec: Codec) -> None:
    assert refusal(QUESTION, ANSWER, 8_999, ROLES) is None
    assert "expired" in (refusal(QUESTION, ANSWER, 9_000, ROLES) or "")
    assert refusal(replace(QUESTION, expires_at=None), ANSWER, 10**15, ROLES) is None


def test_who_asks_may_answer_what_is_no_approval() -> None:
    """A question to the person whose task it is: what did you mean?"""
    asked = replace(QUESTION, kind=QuestionKind.ASK, asker="ann", output_schema='{"type": "string"}')
    said = replace(ANSWER, approved=None, content='"this one"')
    assert refusal(asked, said, 1, ROLES) is None
    assert "cannot approve" in (refusal(replace(QUESTION, asker="ann"), ANSWER, 1, ROLES) or "")


def test_a_question_that_could_not_be_given_is_open_again() -> None:
    table = QuestionTable()
    table.learn(QUESTION)
    table.close("t/1", "a1")
    table.learn(QUESTION)
    assert table.open == {}
    table.reopen(QUESTION)
    assert (table.open, table.closed) == ({"t/1": QUESTION}, {})
