"""The ids of a task's steps: given in the order of the calls, so that a replay gives them again (protocol rule 19)."""

from __future__ import annotations

from aiosv3.agents.controls import GENERATION


class StepIds:
    """``1``, ``2``, … and ``=name`` for steps that their code pins."""

    __slots__ = ("_count", "_given")

    def __init__(self) -> None:
        self._count = 0
        self._given: set[str] = set()

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._given

    def __len__(self) -> int:
        return len(self._given)

    def reserve(self, *step_ids: str) -> None:
        """Ids that no code asks for, but the journal answers."""
        self._given.update(step_ids)

    def next(self, name: str | None) -> str:
        """The id of the step that is being called. Raises ValueError for a name that cannot pin one."""
        if name is None:
            self._count += 1
            step_id = str(self._count)
        else:
            step_id = f"={name}"
            if "~" in name or GENERATION in name:
                raise ValueError(f"a step cannot be named {name!r}: '~' marks attempts, '@' migrations")
            if step_id in self._given:
                raise ValueError(f"two steps of this task are named {name!r}: a name pins one step")
        self._given.add(step_id)
        return step_id
