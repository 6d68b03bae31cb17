"""The two sides beside each other, and what the calls would have cost elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiosv3.app.demo.prices import ListPrice, Withheld
from aiosv3.app.demo.sides import Side
from aiosv3.app.demo.view import LABEL

_WIDTH: Final = 112
_SHOWN: Final = 4
_FONT_FACE: Final = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?-->\s*", re.DOTALL)


def side_by_side(sides: Sequence[Side], prices: Sequence[ListPrice], above: Withheld) -> RenderableType:
    """The table, and its last lines: the same calls at list prices, and who would not have been asked."""
    title = "Same events, same model, same kills" if len(sides) > 1 else "What the kills cost"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for side in sides:
        table.add_column(LABEL[side.name])
    table.add_row("tasks", *(str(side.tasks) for side in sides))
    table.add_row("kill -9", *(str(sum(kill.done for kill in side.kills)) for side in sides))
    table.add_section()
    table.add_row("lost", *(_ids(side.lost) for side in sides))
    table.add_row("done twice", *(_ids(side.done_twice) for side in sides))
    table.add_row("model calls paid twice", *(_count(side.calls.paid_again) for side in sides))
    table.add_section()
    table.add_row("model calls", *(str(side.calls.calls) for side in sides))
    table.add_row("  of them cut off by a kill", *(str(side.calls.cut) for side in sides))
    table.add_row("task → result, p50", *(_ms(side.p50_ms) for side in sides))
    table.add_row("  p99 (lost ones left out)", *(_ms(side.p99_ms) for side in sides))
    tokens = (f"{side.calls.input_tokens} in, {side.calls.output_tokens} out" for side in sides)
    table.add_row("tokens of answered calls", *tokens)
    for price in prices:
        table.add_row(f"  at {price.model}", *(_usd(price, side) for side in sides))
    return Group(table, Text(elsewhere(prices, above)))


def elsewhere(prices: Sequence[ListPrice], above: Withheld) -> str:
    """The last line: whose prices those are, and which calls a public cloud pool would not have got."""
    named = "; ".join(
        f"{price.provider} {price.model} {price.input_usd_per_mtok:.2f}/{price.output_usd_per_mtok:.2f} USD per "
        f"million tokens in/out since {price.effective_from}"
        for price in prices
    )
    return f"{named}. Each model counts tokens in its own way. {refused(above)}"


def refused(above: Withheld) -> str:
    """Which calls a public cloud pool would not have got, in a sentence."""
    if above.calls:
        count = f"{len(above.calls)} of {above.of_calls} calls would have been refused there"
        return f"{count}: their texts are above public ({_few(above.calls)})."
    if above.tasks:
        return f"No call would have been refused there: what is above public ({_few(above.tasks)}) asked no model."
    return "No call would have been refused there: all texts are public."


def write_svg(path: Path, parts: Sequence[RenderableType], title: str) -> None:
    """The parts as a picture of a terminal. No font is fetched for it: it names some, and the viewer's are used."""
    with path.open("w", encoding="utf-8") as file:
        file.write(svg(parts, title))


def svg(parts: Sequence[RenderableType], title: str) -> str:
    """The picture as text."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(part)
    return _COMMENT.sub("", _FONT_FACE.sub("", console.export_svg(title=title)))


def to_json(sides: Sequence[Side], prices: Sequence[ListPrice], above: Withheld) -> dict[str, Any]:
    """Plain data: a side by its name, and the costs of each by model."""
    return {
        "sides": {side.name: asdict(side) for side in sides},
        "prices": [
            {
                **asdict(price),
                "usd": {side.name: price.usd(side.calls.input_tokens, side.calls.output_tokens) for side in sides},
            }
            for price in prices
        ],
        "refused_by_a_public_pool": asdict(above),
    }


def _ids(ids: Sequence[str]) -> Text:
    return _count(len(ids), f": {_few([one.partition('.')[2] for one in ids])}" if ids else "")


def _count(number: int, more: str = "") -> Text:
    return Text(f"{number}{more}", "bold red" if number else "bold green")


def _few(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:_SHOWN]) + (", …" if len(distinct) > _SHOWN else "")


def _ms(value: int | None) -> str:
    return "unknown" if value is None else f"{value} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def _usd(price: ListPrice, side: Side) -> str:
    return f"{price.usd(side.calls.input_tokens, side.calls.output_tokens):.6f} USD"
