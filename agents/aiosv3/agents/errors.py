"""What a step can raise inside an agent, and what stops a task from the outside.

AiosError
├── OutsideStep            the agent waited for something that is not a step: wrap it in ``ctx.run(...)``
├── AgentDefinitionError   the function is not an agent: types, name or settings are wrong
└── StepError              carries ``retryable``, ``step``, ``topic``, ``offset``
    ├── ModelRefused       the model answered, but not with what was asked for
    ├── ModelUnavailable   no pool that is allowed and healthy answered
    ├── BudgetExceeded     money, calls or depth of the task tree are used up; names which
    ├── ClearanceDenied    no pool may see data of this class
    ├── MemoryUnavailable  memory cannot answer now
    ├── MemoryRefused      memory does not do this: the message says why
    ├── AsOfPruned         the memory log no longer reaches back to the time that was asked for
    ├── ToolFailed         a tool, or a ``run`` function, failed
    ├── AgentFailed        the called agent failed
    ├── Denied             a person said no
    ├── StepTimeout        no answer before the deadline
    ├── ContentShredded    the step's answer is sealed with a key that was shredded
    ├── SubjectForgotten   whom the called task was about was forgotten while it was open
    ├── TreeCancelled      the tree that this step belongs to was cancelled: its model calls are not routed
    ├── InvalidContent     what a person or a sender of messages said is not of the asked type
    └── RecordRejected     the log does not take the step's request or answer (too large, no such topic)
"""

from __future__ import annotations

from typing import Any

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import StepFailure


class OutsideStep(AiosError):
    """An agent awaited the world outside its journal; names the call and says what to do instead."""


class AgentDefinitionError(AiosError):
    """``@agent`` cannot make an agent out of this function."""


class StepError(AiosError):
    """A step failed. ``topic`` and ``offset`` say where the failure is on the log, where that is known."""

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        step: str | None = None,
        topic: str | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = type(self).retryable if retryable is None else retryable
        self.step = step
        self.topic = topic
        self.offset = offset

    def failure(self) -> StepFailure:
        """The same as a record."""
        return StepFailure(
            type=type(self).__name__,
            message=self.message,
            retryable=self.retryable,
            step=self.step,
            topic=self.topic,
            offset=self.offset,
        )


class ModelRefused(StepError):
    """The endpoint answered, but the answer is not usable: refused, filtered, or not of the asked type."""


class ModelUnavailable(StepError):
    """Every pool that may be used is down, full, or failed."""

    retryable = True


class BudgetExceeded(StepError):
    """A limit of the task tree is reached; the message names it."""


class ClearanceDenied(StepError):
    """No pool, or not the tool's zone, is cleared for data of this class. Fail closed: nothing was sent."""


class MemoryUnavailable(StepError):
    """Memory cannot answer now: its view is not there."""

    retryable = True


class MemoryRefused(StepError):
    """What was to be remembered, recalled or forgotten is not: the message says what is wrong with it."""


class AsOfPruned(StepError):
    """The memory log no longer reaches back to the time that was asked for; the message says how far it does."""


class ToolFailed(StepError):
    """A tool failed, or a function given to ``ctx.run`` raised, after all tries."""


class AgentFailed(StepError):
    """The called agent ended without a result."""


class Denied(StepError):
    """A person denied it: ``who``, and what they said about it (``comment``)."""

    def __init__(self, message: str, *, who: str = "", comment: str = "", **place: Any) -> None:
        super().__init__(message, **place)
        self.who = who
        self.comment = comment


class StepTimeout(StepError):
    """The answer did not come before the deadline."""


class ContentShredded(StepError):
    """What this step was answered with is sealed, and its key was shredded: it is gone for good."""


class TreeCancelled(StepError):
    """The tree of this task was cancelled: the router sends no further model call of it anywhere."""


class SubjectForgotten(TreeCancelled):
    """Whom the task was about was forgotten while it was open: it was ended. What is started afterwards is new."""


class InvalidContent(StepError):
    """A person's answer or a message is not of the type that was asked for."""


class RecordRejected(StepError):
    """Kafka refused the record of this step."""


_BY_NAME = {
    kind.__name__: kind
    for kind in (
        ModelRefused,
        ModelUnavailable,
        BudgetExceeded,
        ClearanceDenied,
        MemoryUnavailable,
        MemoryRefused,
        AsOfPruned,
        ToolFailed,
        AgentFailed,
        Denied,
        StepTimeout,
        TreeCancelled,
        ContentShredded,
        SubjectForgotten,
        InvalidContent,
        RecordRejected,
    )
}


def step_error(failure: StepFailure | None, step: str, default: type[StepError]) -> StepError:
    """The typed error of a failed answer; a type name unknown here becomes ``default``, its name in the message."""
    if failure is None:
        return default("failed without saying why", step=step)
    kind = _BY_NAME.get(failure.type, default)
    message = failure.message if failure.type in _BY_NAME else f"{failure.type}: {failure.message}"
    return kind(message, retryable=failure.retryable, step=step, topic=failure.topic, offset=failure.offset)
