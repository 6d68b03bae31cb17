"""Records of ``deltas``: what can be shown while a task runs. Best effort; the result is what counts.

Key: the request id; for progress the task id, ``/`` and the step id. Header ``ce_subject`` names the root task, so that
a reader passes over what belongs to others without reading values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from aiosv3.schemas.records import Symbol

Content: TypeAlias = str | bytes | None

DELTA_TYPE: Final = "aiosv3.delta"
"""``ce_type`` of a delta."""


class DeltaKind(Symbol):
    """TOKEN: a piece of a model's answer. PROGRESS: how far a task has come. END: a model's answer is complete."""

    TOKEN = "TOKEN"  # noqa: S105 -- no secret: what models write in
    PROGRESS = "PROGRESS"
    END = "END"


@dataclass(frozen=True, slots=True)
class Delta:
    """``attempt`` counts from 1, ``sequence`` from 0 in each call of the model; END takes a number too.

    For one step: what has a lower (attempt, epoch) than the newest seen is out of date and is not shown. A higher one,
    and any ``sequence`` 0, voids what was shown. A number that is left out means that deltas were lost.
    """

    root_id: str
    task_id: str
    agent: str
    step_id: str
    attempt: int
    epoch: int
    sequence: int
    kind: DeltaKind
    fraction: float | None = None
    content: Content = None
    content_key_id: str | None = None
