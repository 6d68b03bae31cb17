"""The table at the end, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiosv3.app.demo import comparison
from aiosv3.app.demo.calls import OURS, ModelCall
from aiosv3.app.demo.facts import (
    Bill,
    Guarantees,
    Records,
    Route,
    bill,
    guarantees,
    latencies,
    percentile,
    routes,
)
from aiosv3.app.demo.findings import (
    Finding,
    Score,
    Standing,
    Versions,
    findings,
    model_label,
    of_standing,
    score,
)
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.prices import ListPrice, Withheld, list_prices, withheld
from aiosv3.app.demo.sides import ResultRecord, Side, count_side

SideRun = tuple[str, Sequence[ResultRecord], Sequence[Kill]]
"""A side: its name, the result records that came, copies included, and its kills."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run, as the topics tell it, and the log of the model for its calls.

    Latencies in milliseconds, from task to result, broker times. ``sides``: ours, and the naive twin if it ran.
    """

    tasks: int
    lines: tuple[Finding, ...]
    rule: Score
    model: Score
    routes: tuple[Route, ...]
    bill: Bill
    p50_ms: int | None
    p99_ms: int | None
    guarantees: Guarantees
    kills: tuple[Kill, ...]
    seconds: float
    sides: tuple[Side, ...]
    prices: tuple[ListPrice, ...]
    above_public: Withheld

    def side_by_side(self) -> RenderableType:
        """The two sides, and the costs elsewhere."""
        return comparison.side_by_side(self.sides, self.prices, self.above_public)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the three promises as counts under ``kills``, the lines under ``findings``."""
        content = asdict(self)
        del content["sides"], content["prices"], content["above_public"]
        content["comparison"] = comparison.to_json(self.sides, self.prices, self.above_public)
        promises = self.guarantees
        content["findings"] = content.pop("lines")
        content["lost"] = len(promises.lost)
        content["done_twice"] = len(promises.done_twice)
        content["called_again"] = len(promises.called_again)
        return content


def make_report(
    records: Records,
    held_back: Versions,
    sides: Sequence[SideRun],
    calls: Sequence[ModelCall],
    took: Mapping[str, float],
) -> Report:
    """Counts everything. ``took``: seconds from the first task to a side's last result, by the wall clock."""
    lines = tuple(findings(records, held_back))
    spread = latencies(records)
    began = dict.fromkeys(records.task_ids, 0) | {one.value.task_id: one.timestamp for one in records.tasks}
    counted = tuple(count_side(name, began, results, calls, kills) for name, results, kills in sides)
    return Report(
        tasks=len(records.task_ids),
        lines=lines,
        rule=score(lines, "rule"),
        model=score(lines, "model"),
        routes=tuple(routes(records)),
        bill=bill(records.completions),
        p50_ms=percentile(spread, 50),
        p99_ms=percentile(spread, 99),
        guarantees=guarantees(records),
        kills=counted[0].kills,
        seconds=took.get(OURS, 0.0),
        sides=counted,
        prices=tuple(list_prices()),
        above_public=withheld(records),
    )


def render(report: Report) -> RenderableType:
    """The lists of what needs a person, what was found, and last the two sides."""
    return Group(*_lists(report), _table(report), report.side_by_side())


def _table(report: Report) -> Table:
    table = Table(title="Does the licence text match the licence declared?", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    models = ", ".join(model_label(model) for model in report.bill.models) or "no model was asked"
    left = len(of_standing(report.lines, Standing.LEFT_TO_YOU))
    table.add_row("tasks", f"{report.tasks} in {report.seconds:.0f} s")
    table.add_row("decided by rule", f"{report.rule.right} right of {report.rule.of}")
    table.add_row("decided by model", f"{report.model.right} right of {report.model.of} ({models})")
    table.add_row("left to you", str(left))
    table.add_row("not declared", str(len(of_standing(report.lines, Standing.NOT_DECLARED))))
    table.add_section()
    for route in report.routes:
        table.add_row("route", f"{route.count} {route.clearance} → {route.pool or 'refused'}: {route.reason}")
    used = report.bill
    cost = f"{used.cost_usd_micros / 1e6:.6f} USD"
    table.add_row("calls", f"{used.calls}: {used.input_tokens} tokens in, {used.output_tokens} out, {cost}")
    table.add_section()
    _add_kills(table, report)
    return table


def _add_kills(table: Table, report: Report) -> None:
    for kill in (kill for side in report.sides for kill in side.kills):
        back = "not back yet" if kill.back is None else f"back as {kill.back}"
        happened = f"{kill.name}, pid {kill.pid}, after {kill.seen} results; {back}"
        table.add_row("kill -9", happened if kill.done else f"no {kill.kind}: the work was done before its moment")
    promises = report.guarantees
    table.add_row("lost", _count(promises.lost))
    table.add_row("results that differ", _count(promises.done_twice))
    table.add_row("calls made again", _count(promises.called_again))
    copies = f"{promises.result_copies} results, {promises.answer_copies} answers (readers keep the first of an id)"
    table.add_row("raw copies", copies)


def _count(ids: Sequence[str]) -> Text:
    words = f"{len(ids)}" + (f": {', '.join(ids[:5])}" if ids else "")
    return Text(words, style="bold red" if ids else "bold green")


def _lists(report: Report) -> list[RenderableType]:
    shown = (
        (Standing.MISMATCH, "The text does not match the declaration"),
        (Standing.LEFT_TO_YOU, "Left to you"),
        (Standing.NO_RESULT, "Without a verdict"),
        (Standing.NOT_DECLARED, "Nothing that can be compared is declared"),
    )
    return [_list(title, found) for standing, title in shown if (found := of_standing(report.lines, standing))]


def _list(title: str, lines: Sequence[Finding]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("distribution", "declared", "found", "by", "why"):
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(f"{line.distribution} {line.version}", line.declared, line.found, line.by, Text(line.reason))
    return table
