"""The errors of steps: what they carry, and their way through the journal and back."""

from __future__ import annotations

import inspect

import pytest

from aiosv3.agents import errors
from aiosv3.agents.errors import (
    AgentDefinitionError,
    MemoryUnavailable,
    ModelUnavailable,
    OutsideStep,
    StepError,
    ToolFailed,
    step_error,
)
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import StepFailure

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, StepError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not StepError])
def test_every_step_error_comes_back_from_its_record(kind: type[StepError]) -> None:
    error = kind("why", retryable=True, topic="aios.x", offset=7)
    again = step_error(error.failure(), "3", ToolFailed)
    assert type(again) is kind
    assert (again.message, again.retryable, again.step, again.topic, again.offset) == ("why", True, "3", "aios.x", 7)
    assert str(again) == "why"


def test_only_what_is_unavailable_is_worth_another_try_by_itself() -> None:
    assert [kind for kind in KINDS if kind("x").retryable] == [MemoryUnavailable, ModelUnavailable]
    assert ModelUnavailable("x", retryable=False).retryable is False


def test_an_error_of_a_later_version_keeps_its_name_in_words() -> None:
    later = StepFailure("FromTheFuture", "why", retryable=True)
    error = step_error(later, "1", ToolFailed)
    assert (type(error), error.message, error.retryable) == (ToolFailed, "FromTheFuture: why", True)


def test_a_failure_without_a_reason_has_words_too() -> None:
    assert step_error(None, "1", ToolFailed).message == "failed without saying why"


def test_the_tree() -> None:
    assert all(issubclass(kind, AiosError) for kind in (StepError, OutsideStep, AgentDefinitionError))
    assert not issubclass(OutsideStep, StepError)
    names = [line.split()[1] for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    assert sorted(names) == sorted(kind.__name__ for kind in KINDS if kind is not StepError)
