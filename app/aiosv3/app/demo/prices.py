"""What the same calls would have cost elsewhere, and which of them nobody elsewhere would have been sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.topiclog import distribution_of
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Outcome

_FILE: Final = "prices.json"


@dataclass(frozen=True, slots=True)
class ListPrice:
    """The list price of a cloud model, in US dollars per million tokens, from ``effective_from`` (a date) on."""

    provider: str
    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    effective_from: str
    source: str
    note: str

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost. Each model counts its own: these are the tokens of the model that ran."""
        return (input_tokens * self.input_usd_per_mtok + output_tokens * self.output_usd_per_mtok) / 1_000_000


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a cloud pool for public data would not have got: tasks above that class, and the calls about them."""

    tasks: tuple[str, ...]
    calls: tuple[str, ...]
    of_calls: int


def list_prices() -> list[ListPrice]:
    """The dated table that comes with the demo."""
    content = json.loads((files("aiosv3.app.demo") / _FILE).read_text(encoding="utf-8"))
    return [ListPrice(**entry) for entry in content["prices"]]


def withheld(records: Records) -> Withheld:
    """By the class that the producer gave each task: the router's rule, that no pool sees what is above its class."""
    above = {entry.value.task_id for entry in records.tasks if _above_public(entry.value.clearance)}
    answered = [entry.value for entry in records.completions if entry.value.outcome is Outcome.OK]
    calls = [call.task_id for call in answered if call.task_id in above]
    return Withheld(_names(above), _names(calls), len(answered))


def _above_public(clearance: str) -> bool:
    """A class that cannot be read, or is missing, is no permission."""
    return clearance != Clearance.PUBLIC.label


def _names(task_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(distribution_of(task_id) for task_id in task_ids))
