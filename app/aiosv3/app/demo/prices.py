"""What the same calls would have cost elsewhere, and which of them nobody elsewhere would have been sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.topiclog import distribution_of
from aiosv3.app.workers import clock
from aiosv3.router.prices import Entry, packaged_table
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Outcome

_COMPARED: Final = (("OpenAI", "openai", "gpt-6-luna"), ("Anthropic", "anthropic", "claude-haiku-5-5"))


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
    """Today's prices of two small cloud models, from the packaged price table."""
    table, now = packaged_table(), clock()
    found = []
    for maker, provider, model in _COMPARED:
        entry = table.find(provider, model, now)
        if entry is not None:
            found.append(_listed(maker, entry))
    return found


def _listed(maker: str, entry: Entry) -> ListPrice:
    price = entry.price
    up_to = f"prompts of up to {price.tiers[0].above:,} tokens, " if price.tiers else ""
    return ListPrice(
        maker,
        entry.model,
        price.input_micros_per_mtok / 1_000_000,
        price.output_micros_per_mtok / 1_000_000,
        entry.effective_from.isoformat(),
        entry.source,
        f"standard processing, {up_to}nothing cached",
    )


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
