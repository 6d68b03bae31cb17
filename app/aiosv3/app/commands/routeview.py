"""How ``aiosv3 route`` shows decisions on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from aiosv3.app.decisions import Placed, Replayed
    from aiosv3.router.routing.explaining import Explained
    from aiosv3.schemas.records import Candidate


@dataclass(frozen=True, slots=True)
class Shown:
    """A decision, and where it stands if it was made."""

    told: Explained
    placed: Placed | None = None

    def to_json(self) -> dict[str, Any]:
        """Stable names; of a recorded one its id and place too."""
        if self.placed is None:
            return self.told.to_json()
        decision = self.placed.decision
        place = {
            "request_id": decision.request_id,
            "attempt": decision.attempt,
            "partition": self.placed.partition,
            "offset": self.placed.offset,
            "timestamp": self.placed.timestamp,
        }
        return {**place, **self.told.to_json()}


def print_explained(console: Console, shown: Shown) -> None:
    """The outcome in a sentence, what was asked of pools, and a line for each of them."""
    told = shown.told
    if shown.placed is not None:
        decision = shown.placed.decision
        console.print(f"Request {decision.request_id}, attempt {decision.attempt}", style="bold")
    if told.pool is not None:
        console.print(f"→ pool {told.pool} ({told.model}): {told.reason}", style="green")
    else:
        kind = "" if told.error is None else f" with {told.error.type}"
        console.print(f"→ refused{kind}: {told.reason}", style="red")
    for line in _facts(told):
        console.print(f"  {line}")
    if told.candidates:
        console.print(_table(told))


def _facts(told: Explained) -> list[str]:
    facts = [f"policy {told.policy_version}"]
    if told.rules:
        facts.append(f"rules: {'; '.join(told.rules)}")
    if told.demand is not None:
        facts += [f"the data may be in: {' or '.join(sorted(regions))}" for regions in told.demand.regions]
        if told.demand.terms:
            facts.append(f"the provider must promise: {', '.join(sorted(told.demand.terms))}")
    if told.sticky is not None:
        facts.append(f"the conversation was with {told.sticky}")
    return facts


def _table(told: Explained) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("pool", "score", "expected USD", "load", "latency ms"):
        table.add_column(name, justify="left" if name == "pool" else "right", no_wrap=True)
    table.add_column("why")
    for one in told.candidates:
        chosen = one.pool == told.pool
        table.add_row(*_row(one, told), style="green" if chosen else None if one.eligible else "dim")
    return table


def _row(one: Candidate, told: Explained) -> tuple[str, ...]:
    from aiosv3.router.policy import ELIGIBLE

    latency = one.latency_ms if one.latency_p95_ms is None else one.latency_p95_ms
    parts = (told.parts or {}).get(one.pool)
    why = one.reason
    if parts is not None:
        how = " + ".join(f"{name} {points:.3f}" for name, points in parts.items())
        why = how if why == ELIGIBLE else f"{how} ({why})"
    return (
        one.pool,
        "" if one.score is None else f"{one.score:.3f}",
        "" if one.cost_usd_micros is None else f"{one.cost_usd_micros / 1e6:.6f}",
        "?" if one.load is None else f"{one.load:.2f}",
        "" if latency is None else str(latency),
        why,
    )


def print_replayed(console: Console, result: Replayed, *, forecast: bool) -> None:
    """How many came out the same, and the first that did not."""
    made = result.same + result.different
    if forecast:
        console.print(
            f"{result.different} of {made} decisions would go elsewhere; expected cost "
            f"{result.cost_before / 1e6:.6f} → {result.cost / 1e6:.6f} USD."
        )
    else:
        console.print(f"{result.same} of {made} decisions came out as recorded.")
    if result.not_chosen:
        console.print(f"{result.not_chosen} were no choice of the policy (cancelled, past their deadline, overruled).")
    for why, count in result.lost.items():
        console.print(f"{count} cannot be made again: {why}.")
    for placed, found in result.examples:
        console.print(f"{placed.decision.request_id} (partition {placed.partition}, offset {placed.offset})")
        for one in found:
            console.print(f"  {one.field}:\n  - {one.recorded}\n  + {one.now}")
