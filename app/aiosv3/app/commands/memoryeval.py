"""``aiosv3 memory eval``: how well memories are found, on data of one's own."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiosv3.app.commands.options import Json, echo_json

if TYPE_CHECKING:
    from aiosv3.memory.evaluate import Row

Data = Annotated[
    Path,
    typer.Option("--data", help="A folder with conversations (*.jsonl, *.jsonl.gz) or collections (corpus.jsonl, …)."),
]
Compare = Annotated[bool, typer.Option("--compare", help="Also with one thing left out at a time.")]
Words = Annotated[bool, typer.Option("--words", help="Without vectors: no model is fetched or run.")]


def evaluate_memory(data: Data, compare: Compare = False, words: Words = False, as_json: Json = False) -> None:
    """Measure how well memories are found: recall of conversations' evidence, nDCG of judged documents.

    Each figure with the interval that holds it in 95 of 100 samples of the conversations (or queries).
    """
    # What only this command needs takes a quarter of a second to load.
    from aiosv3.memory.embedders import NoEmbedder
    from aiosv3.memory.embedders.local import LocalEmbedder
    from aiosv3.memory.evaluate import VARIANTS, DataUnreadable, datasets, evaluate

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        read = datasets(data)
    except DataUnreadable as error:
        raise typer.BadParameter(str(error), param_hint="--data") from None
    variants = VARIANTS if compare else {"default": VARIANTS["default"]}
    rows = []
    for row in evaluate(read, variants, NoEmbedder if words else LocalEmbedder):
        rows.append(row)
        if not as_json:
            typer.echo(f"{row.dataset}, {row.variant}: {row.measure} {row.estimate}", err=True)
    if as_json:
        echo_json([_told(row) for row in rows])
        return
    Console(highlight=False, markup=False).print(_table(rows))


def _told(row: Row) -> dict[str, Any]:
    found = row.estimate
    return {
        "dataset": row.dataset,
        "variant": row.variant,
        "measure": row.measure,
        "mean": round(found.mean, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "questions": found.questions,
        "groups": [round(mean, 4) for mean in row.groups],
    }


def _table(rows: list[Row]) -> Table:
    table = Table()
    for column in ("data", "how", "measure", "mean", "95 %", "questions"):
        table.add_column(column)
    for row in rows:
        found = row.estimate
        between = f"{found.low:.3f} to {found.high:.3f}"
        table.add_row(row.dataset, row.variant, row.measure, f"{found.mean:.3f}", between, str(found.questions))
    return table
