"""Questions to people and their answers, sealed: whoever shows or checks them holds the key of their class."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.people import PersonAnswer, Question
from aiosv3.schemas.sealing import PERSON, QUESTION, NoKey, key_id_of, seal
from aiosv3.streams.keys import KeyRing

UNSAID: Final = "the value does not fit the schema of the question; what is wrong with it is sealed"
"""Why a sealed answer is refused: a fault of a value would quote it."""


def opened_question(ring: KeyRing | None, question: Question) -> Question:
    """The question as people read it. Raises UnresolvedKey, SealError."""
    if not isinstance(question.content, bytes):
        return question
    plain = _ring(ring, question.content).open(QUESTION, question.request_id, question.content)
    return replace(question, content=plain.decode("utf-8", "surrogatepass"))


def sealed_person_answer(ring: KeyRing | None, question: Question, answer: PersonAnswer) -> PersonAnswer:
    """The answer under the key of its question: the value and the comment; who said yes or no stays readable.

    Raises UnresolvedKey, SealError.
    """
    if question.content_key_id is None:
        return answer
    key = _ring(ring, question.content).get(question.content_key_id)
    said = json.dumps({"content": answer.content, "comment": answer.comment}, ensure_ascii=False)
    body = seal(key, PERSON, _place(answer), said.encode("utf-8", "surrogatepass"))
    return replace(answer, content=body, content_key_id=key.id, comment=None)


def opened_person_answer(ring: KeyRing | None, answer: PersonAnswer) -> PersonAnswer:
    """The answer as it was given. Raises UnresolvedKey, SealError, MalformedValue."""
    if not isinstance(answer.content, bytes):
        return answer
    plain = _ring(ring, answer.content).open(PERSON, _place(answer), answer.content)
    try:
        said = json.loads(plain)
        return replace(answer, content=said["content"], comment=said["comment"], content_key_id=None)
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedValue(f"a sealed answer of a person is none: {type(error).__name__}") from None


def _place(answer: PersonAnswer) -> str:
    return f"{answer.request_id}/answer/{answer.answer_id}"


def _ring(ring: KeyRing | None, body: object) -> KeyRing:
    if ring is None:
        key = key_id_of(body) if isinstance(body, bytes) else "one"
        raise NoKey(f"what people are asked is sealed with key {key}, and there are no keys here: set [sealing]")
    return ring
