"""The comparison that the job is for: what was found against what is declared, mismatches first."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Literal

from aiosv3.app.demo.declared import Declared
from aiosv3.app.demo.facts import Records, first_per_request, first_per_task
from aiosv3.app.demo.topiclog import Result, distribution_of
from aiosv3.schemas.records import DecisionOutcome


class Standing(Enum):
    """What a line of the list says; in this order."""

    MISMATCH = "mismatch"
    LEFT_TO_YOU = "left to you"
    NO_RESULT = "no result"
    NOT_DECLARED = "not declared"
    MATCH = "match"

    @property
    def place(self) -> int:
        """Where it stands in the list."""
        return list(Standing).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One distribution, a line of ``licences.csv``. ``route``: the pools that were asked; empty when none was."""

    distribution: str
    version: str
    declared: str
    found: str
    by: str
    verdict: str
    quote: str
    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """How often one way of deciding was right, out of those that can be compared."""

    right: int
    of: int


Versions = Mapping[str, tuple[str, Declared]]
"""Version and declaration of each distribution, by its name."""


def findings(records: Records, held_back: Versions) -> list[Finding]:
    """A line for each task, mismatches first, then by name."""
    visible = first_per_task(records.results)
    asked = _asked(records)
    lines = []
    for task_id in records.task_ids:
        distribution = distribution_of(task_id)
        version, declared = held_back.get(distribution, ("", Declared("", "nothing", frozenset())))
        entry = visible.get(task_id)
        line = _line(distribution, version, declared, None if entry is None else entry.value)
        lines.append(_with_route(line, asked.get(task_id, {})))
    return sorted(lines, key=lambda one: (Standing(one.verdict).place, one.distribution.lower()))


def model_label(model: str) -> str:
    """A model by its name; the one that comes with the local stack is named as what it is."""
    return f"{model}, a toy model" if model.startswith("SmolLM2-135M") else model


def _asked(records: Records) -> dict[str, dict[str, str]]:
    """For each task the pools that its requests went to, with their models."""
    asked: dict[str, dict[str, str]] = {}
    for decision in first_per_request(records.decisions).values():
        routed = decision.outcome is DecisionOutcome.ROUTED and decision.pool is not None
        pool = str(decision.pool) if routed else "refused"
        asked.setdefault(decision.task_id, {})[pool] = (decision.model or "") if routed else ""
    return asked


def _with_route(line: Finding, asked: Mapping[str, str]) -> Finding:
    models = [model_label(model) for model in dict.fromkeys(asked.values()) if model]
    reason = f"{line.reason} [{'; '.join(models)}]" if models else line.reason
    return replace(line, route=" ".join(asked), reason=reason)


def _line(distribution: str, version: str, declared: Declared, result: Result | None) -> Finding:
    words = declared.text or "nothing"
    if result is None or result.content is None:
        error = result.error if result is not None else None
        reason = "the task has no result" if error is None else f"{error.type}: {error.message}"
        return Finding(distribution, version, words, "", "", Standing.NO_RESULT.value, "", "", reason)
    found = result.content
    if found.by == "person":
        verdict = Standing.LEFT_TO_YOU
    elif not declared.families:
        verdict = Standing.NOT_DECLARED
    else:
        verdict = Standing.MATCH if found.licence in declared.families else Standing.MISMATCH
    return Finding(
        distribution,
        version,
        words,
        found.licence,
        found.by,
        verdict.value,
        found.quote or "",
        "",
        found.reason,
    )


def score(lines: Sequence[Finding], by: Literal["rule", "model"]) -> Score:
    """Right and comparable of what ``by`` decided."""
    compared = [one for one in lines if one.by == by and one.verdict in {"match", "mismatch"}]
    return Score(sum(one.verdict == Standing.MATCH.value for one in compared), len(compared))


def of_standing(lines: Sequence[Finding], standing: Standing) -> list[Finding]:
    """The lines with this verdict."""
    return [one for one in lines if one.verdict == standing.value]


def write_csv(path: Path, lines: Sequence[Finding]) -> None:
    """Writes ``lines`` as they stand, with a heading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Finding))
        writer.writerows(astuple(line) for line in lines)
