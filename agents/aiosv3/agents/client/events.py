"""What can be seen of a task while it runs. Only the result counts: tokens and progress are best effort.

Each event names the ``task`` of the tree that it is about, and a ``cursor``: ``handle.events(after=cursor)`` goes on
behind it, in whatever process.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeAlias

from aiosv3.agents.errors import StepError
from aiosv3.schemas.records import Outcome


@dataclass(frozen=True, slots=True)
class _Seen:
    task: str
    cursor: str

    def as_json(self) -> dict[str, Any]:
        """As one line of ``aiosv3 task watch --json``; ``event`` is the class's name in lower case."""
        found: dict[str, Any] = {"event": type(self).__name__.lower()}
        for one in fields(self):
            value = getattr(self, one.name)
            found[one.name] = _simple(value)
        return found


def _simple(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, StepError):
        return {"type": type(value).__name__, "message": value.message}
    return value.value if isinstance(value, Outcome) else value


@dataclass(frozen=True, slots=True)
class Started(_Seen):
    """Its code began to run; ``version`` is that of the code."""

    version: str | None


@dataclass(frozen=True, slots=True)
class Progress(_Seen):
    """What ``ctx.progress`` said. ``fraction``: from 0 to 1, None where it was not given."""

    step: str
    text: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Tokens(_Seen):
    """A piece of a model's answer. ``erases``: what was shown of this step before is void."""

    step: str
    text: str
    attempt: int
    sequence: int
    erases: bool = False


@dataclass(frozen=True, slots=True)
class Gap(_Seen):
    """Pieces of a model's answer were lost on the way here, ``missing`` of them. The result has them all."""

    step: str
    missing: int


@dataclass(frozen=True, slots=True)
class Answered(_Seen):
    """A model's answer is complete."""

    step: str


@dataclass(frozen=True, slots=True)
class Asked(_Seen):
    """A person is asked. ``kind``: APPROVE or ASK; ``role``: who may answer; ``schema``: of the value for ASK."""

    question: str
    kind: str
    text: str
    role: str | None
    schema: Any
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decided(_Seen):
    """A question was answered."""

    question: str
    who: str


@dataclass(frozen=True, slots=True)
class Finished(_Seen):
    """The last event. ``output`` where ``outcome`` is OK, else ``error``: what :meth:`Handle.result` does with them."""

    outcome: Outcome
    output: Any
    error: StepError | None


Event: TypeAlias = Started | Progress | Tokens | Gap | Answered | Asked | Decided | Finished
