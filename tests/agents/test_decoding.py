"""Journal records as the values or errors of their steps. In whole tasks: tests/agents/test_context.py."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from aiosv3.agents.decoding import adapter_of, decoded, json_schema, model_answer
from aiosv3.agents.errors import AgentFailed, ModelRefused, ModelUnavailable, StepError
from aiosv3.agents.facts import JournalEntry
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure


def entry(content: str | None, failure: StepFailure | None = None) -> JournalEntry:
    outcome = Outcome.OK if failure is None else Outcome.FAILED
    return JournalEntry(1, 2, JournalRecord("t", 0, "1", None, JournalKind.ANSWER, outcome, failure, content=content))


def test_a_value_is_of_the_promised_type_or_an_error() -> None:
    assert decoded(entry("[1, 2]"), "1", adapter_of(tuple[int, int]), AgentFailed) == (1, 2)
    assert decoded(entry(None), "1", adapter_of(Any), AgentFailed) is None
    with pytest.raises(AgentFailed, match="not of the declared type") as caught:
        decoded(entry('"x"'), "1", adapter_of(int), AgentFailed)
    assert caught.value.step == "1"


def test_a_failure_is_raised_as_its_own_type() -> None:
    failure = StepFailure("ModelUnavailable", "all down", retryable=True)
    with pytest.raises(ModelUnavailable, match="all down") as caught:
        decoded(entry("1", failure), "4", adapter_of(int), AgentFailed)
    assert (caught.value.retryable, caught.value.step) == (True, "4")


@pytest.mark.parametrize(
    ("content", "kind", "error"),
    [("{", str, ModelUnavailable), ("{}", str, ModelUnavailable), ('{"text": "x"}', int, ModelRefused)],
)
def test_a_models_answer_that_cannot_be_used(content: str, kind: Any, error: type[StepError]) -> None:
    with pytest.raises(error):
        model_answer(entry(content), "1", kind)


def test_schemas_of_equal_types_that_are_spelled_differently_differ() -> None:
    one: Any = Literal["a", "b"]
    other: Any = Literal["b", "a"]
    assert json_schema(one) == '{"enum":["a","b"],"type":"string"}'
    assert json_schema(other) == '{"enum":["b","a"],"type":"string"}'
