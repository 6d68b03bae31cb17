"""Which changes of its code a task takes (docs/adr/0015)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aiosv3.agents.controls import GENERATION
from aiosv3.agents.errors import AgentDefinitionError
from aiosv3.agents.steps import PatchStep, request_hash
from aiosv3.agents.worker.ownership import Ownership
from aiosv3.schemas.records import JournalKind

if TYPE_CHECKING:
    from aiosv3.agents.facts import JournalEntry
    from aiosv3.agents.task import TaskRun

_NAME: Final = "patch:"
_STEP: Final = f"={_NAME}"


class Patches:
    """The decisions of one task. Each follows from its journal, from the partition's markers, and from nothing else.

    ``declared``: what the agent's code knows. A change is taken if the journal says so already, or if the record that
    brought the task to the place came first to an owner whose code knew it; at the start of the task, if the code that
    began it did.
    """

    __slots__ = ("_began_with", "_decided", "_declared", "_ownership", "_recorded", "open")

    def __init__(self, declared: frozenset[str], ownership: Ownership) -> None:
        self._declared = declared
        self._ownership = ownership
        self._decided: dict[str, bool] = {}
        self._recorded: frozenset[str] = frozenset()
        self._began_with = declared
        self.open = 0
        """Decisions that have not been read back from the journal."""

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """The journal that the task will be fed, before it is started."""
        recorded: set[str] = set()
        began_with: frozenset[str] | None = None
        for entry in entries:
            kind, step_id, content = entry.record.kind, entry.record.step_id or "", entry.record.content
            if kind is JournalKind.STARTED and began_with is None:
                began_with = frozenset(json.loads(content)) if isinstance(content, str) else frozenset()
            elif kind is JournalKind.VALUE and step_id.startswith(_STEP):
                recorded.add(step_id.removeprefix(_STEP).partition(GENERATION)[0])
        self._recorded = frozenset(recorded)
        self._began_with = self._declared if began_with is None else began_with

    def ask(self, patch: str, run: TaskRun) -> bool:
        """The decision; the first time, it is made, and a change that is taken becomes a step of ``run``.

        Raises AgentDefinitionError for a change that the agent does not declare.
        """
        if patch not in self._declared:
            raise AgentDefinitionError(
                f"ctx.patched({patch!r}): the agent must declare it, so that a worker can say which code it has: "
                f"@agent(patches=[{patch!r}])"
            )
        if patch not in self._decided:
            self._decided[patch] = self._decide(patch, run.at)
            if self._decided[patch]:
                self._note(patch, run)
        return self._decided[patch]

    def _decide(self, patch: str, at: int) -> bool:
        in_force = self._began_with if at < 0 else self._ownership.at(at)
        return patch in self._recorded or patch in in_force

    def _note(self, patch: str, run: TaskRun) -> None:
        step_id = run.next_id(_NAME + patch)
        self.open += 1
        run.issue(PatchStep(id=step_id, hash=request_hash("patch", patch), first_sent=run.now), self._noted)

    def _noted(self, _entry: JournalEntry) -> None:
        self.open -= 1
