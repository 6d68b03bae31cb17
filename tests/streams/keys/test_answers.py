from __future__ import annotations

from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure
from aiosv3.schemas.sealing import ANSWER, DataKey, open_sealed
from aiosv3.streams.keys.answers import HIDDEN, opened_answer, sealed_answer

KEY = DataKey.new("tenant")
FAILURE = StepFailure("ToolFailed", "a secret: \ud800", retryable=False, step="1")


def journaled(outcome: Outcome, **parts: object) -> JournalRecord:
    return JournalRecord("t", 0, "1", "h", JournalKind.ANSWER, outcome, **parts)  # type: ignore[arg-type]


def test_without_a_key_an_answer_is_what_it_was() -> None:
    assert sealed_answer(None, "t/1", "hi", FAILURE) == ("hi", None, FAILURE)


def test_an_answer_comes_back_as_it_was() -> None:
    made = sealed_answer(KEY, "t/1", '{"text": "hi"}')
    record = journaled(Outcome.OK, **made._asdict())
    assert isinstance(made.content, bytes)
    assert opened_answer(record, open_sealed(KEY, ANSWER, "t/1", made.content)) == journaled(
        Outcome.OK, content='{"text": "hi"}'
    )


def test_so_do_the_words_of_an_error_and_its_type_stays_readable() -> None:
    made = sealed_answer(KEY, "t/1", None, FAILURE)
    assert made.error == StepFailure("ToolFailed", HIDDEN, retryable=False, step="1")
    record = journaled(Outcome.FAILED, **made._asdict())
    assert isinstance(made.content, bytes)
    opened = opened_answer(record, open_sealed(KEY, ANSWER, "t/1", made.content))
    assert opened == journaled(Outcome.FAILED, error=FAILURE)


def test_nothing_stays_nothing() -> None:
    assert sealed_answer(KEY, "t/1", None) == (None, None, None)
