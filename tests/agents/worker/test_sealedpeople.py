from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.agents.worker.sealedpeople import opened_person_answer, opened_question, sealed_person_answer
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.people import PersonAnswer, Question, QuestionKind
from aiosv3.schemas.records import ReplyTo
from aiosv3.schemas.sealing import PERSON, QUESTION, BadSeal, NoKey, seal
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.keys import KeyRing, MasterKeys, Owner, TopicKeys, new_master_keys
from aiosv3.streams.testing import MemoryBroker, MemoryLog

PLAIN = Question(
    *("t/1", "t", "t", "1", "worker", "acme"),
    QuestionKind.ASK,
    "boss",
    "zoe",
    0,
    None,
    "hash",
    ReplyTo("j", 0, 0, "t", "1", "token"),
    content="How many?",
)
ANSWER = PersonAnswer("t/1", "a1", "ann", 1, "token", None, "a comment", "7")


@pytest.fixture
async def ring() -> KeyRing:
    broker = MemoryBroker()
    broker.create_topic("keys", 1)
    made = KeyRing(
        TopicKeys(MemoryLog(broker, "me"), Codec(SchemaStore()), "keys"), MasterKeys.parse(new_master_keys())
    )
    await made.obtain(Owner("t", None, Clearance.CONFIDENTIAL))
    return made


def sealed(ring: KeyRing) -> Question:
    key = ring.used(Owner("t", None, Clearance.CONFIDENTIAL))
    return replace(PLAIN, content=seal(key, QUESTION, "t/1", b"How many?"), content_key_id=key.id)


async def test_a_question_and_its_answer_are_sealed_alike(ring: KeyRing) -> None:
    question = opened_question(ring, sealed(ring))
    assert question.content == "How many?"
    said = sealed_person_answer(ring, question, ANSWER)
    assert (said.comment, said.content_key_id) == (None, question.content_key_id)
    assert isinstance(said.content, bytes)
    assert opened_person_answer(ring, said) == ANSWER


async def test_an_answer_is_of_its_question(ring: KeyRing) -> None:
    said = sealed_person_answer(ring, sealed(ring), ANSWER)
    with pytest.raises(BadSeal):
        opened_person_answer(ring, replace(said, answer_id="a2"))


async def test_what_is_plain_stays_plain(ring: KeyRing) -> None:
    assert opened_question(None, PLAIN) is PLAIN
    assert sealed_person_answer(None, PLAIN, ANSWER) is ANSWER
    assert opened_person_answer(None, ANSWER) is ANSWER


async def test_without_keys_it_says_what_to_set(ring: KeyRing) -> None:
    for call in (opened_question, lambda none, question: sealed_person_answer(none, question, ANSWER)):
        with pytest.raises(NoKey, match=r"set \[sealing\]"):
            call(None, sealed(ring))


async def test_what_is_sealed_and_no_answer(ring: KeyRing) -> None:
    key = ring.used(Owner("t", None, Clearance.CONFIDENTIAL))
    with pytest.raises(MalformedValue, match="is none"):
        opened_person_answer(ring, replace(ANSWER, content=seal(key, PERSON, "t/1/answer/a1", b"[]")))
