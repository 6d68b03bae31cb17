"""Answers of steps, sealed: what a completion, a tool's result, an agent's result and the asker's journal all hold.

They are the same bytes in each of these records, so whoever hands an answer on needs no key. The place that is bound is
the step: ``task id/step id``, which is also the id of a task that a step starts. The words of an error are content too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from aiosv3.schemas.records import JournalRecord, Outcome, StepFailure
from aiosv3.schemas.sealing import ANSWER, DataKey, seal

HIDDEN: Final = "the words of this error are sealed"


class AnswerParts(NamedTuple):
    """The fields of a record that is an answer."""

    content: str | bytes | None
    content_key_id: str | None
    error: StepFailure | None


def sealed_answer(
    key: DataKey | None, place: str, content: str | None, error: StepFailure | None = None
) -> AnswerParts:
    """The answer to the step ``place``; plain without a key. Of a failure the type stays readable."""
    if key is None:
        return AnswerParts(content, None, error)
    if error is not None:
        return AnswerParts(_sealed(key, place, error.message), key.id, replace(error, message=HIDDEN))
    return AnswerParts(None, None, None) if content is None else AnswerParts(_sealed(key, place, content), key.id, None)


def _sealed(key: DataKey, place: str, text: str) -> bytes:
    return seal(key, ANSWER, place, text.encode("utf-8", "surrogatepass"))


def opened_answer(record: JournalRecord, plain: bytes) -> JournalRecord:
    """``record`` with what was sealed in it: its content, or the words of its error."""
    text = plain.decode("utf-8", "surrogatepass")
    if record.outcome is not Outcome.OK and record.error is not None:
        return replace(record, error=replace(record.error, message=text), content=None, content_key_id=None)
    return replace(record, content=text, content_key_id=None)
