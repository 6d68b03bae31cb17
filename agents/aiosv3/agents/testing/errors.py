"""How a test on a mesh fails, and how a task in it ends without a value.

AiosError
├── TaskFailed             the task ended FAILED with an error that is no StepError, or CANCELLED
└── MeshFailure            (also AssertionError) the test cannot hold
    ├── NotScripted        a model, an agent or a person was asked, and the test does not say what it answers
    ├── NeverFinishes      nothing is left that could bring the result; says which step waits for what
    ├── TaskStuck          the code asks for something else than the journal answers: it is not deterministic
    └── CrashChanged       after a crash something is not as it was without one; names the crash point
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import Outcome, StepFailure


class TaskFailed(AiosError):
    """A task's end without a value. ``type`` is the name of the exception that the agent raised."""

    def __init__(self, outcome: Outcome, failure: StepFailure | None) -> None:
        self.outcome = outcome
        self.type = failure.type if failure is not None else outcome.value
        self.message = failure.message if failure is not None else ""
        super().__init__(f"{self.type}: {self.message}")


class MeshFailure(AiosError, AssertionError):
    """The test fails."""


class NotScripted(MeshFailure):
    """Somebody was asked who has no script in this test."""


class NeverFinishes(MeshFailure):
    """The result cannot come any more."""


class TaskStuck(MeshFailure):
    """A worker replayed the journal of a task, and the code asked for something else (protocol rule 20)."""


class CrashChanged(MeshFailure):
    """The same test with a kill: another result, other requests, or an answered request made again."""
