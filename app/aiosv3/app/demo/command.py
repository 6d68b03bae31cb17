"""``aiosv3 demo``: the sample job from nothing to its table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only so many distributions.")]
Seed = Annotated[int, typer.Option("--seed", help="Chooses the moments and the victims of the kills.")]
Twin = Annotated[bool, typer.Option("--twin/--no-twin", help="Run a naive consumer loop beside it, killed alike.")]
Svg = Annotated[Path | None, typer.Option("--svg", help="Where a picture of the run goes.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack running: look at it, then 'aiosv3 down'.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")]
Folder = Annotated[Path, typer.Option("--folder", help="Where the stack's state lives; emptied at the start.")]
Csv = Annotated[Path, typer.Option("--csv", help="Where the list of licences goes.")]
Deadline = Annotated[float, typer.Option("--deadline", help="Seconds after which a task without a result is lost.")]


def demo(
    limit: Limit = None,
    seed: Seed = 1,
    keep: Keep = False,
    as_json: Json = False,
    folder: Folder = Path(".aiosv3/demo"),
    csv: Csv = Path("licences.csv"),
    deadline: Deadline = 600.0,
    twin: Twin = True,
    svg: Svg = None,
) -> None:
    """Run the sample job on a real Kafka and a small local model, with workers killed on the way.

    Beside it runs a naive consumer loop on the same events and the same model, killed at the same moments. On a
    terminal, k kills any process and q quits. Exit code 0 only if ours lost nothing, did nothing twice and made no
    answered call again, whatever the loop did.
    """
    from aiosv3.app.demo.driver import DemoOptions, run_demo

    options = DemoOptions(folder, csv, seed, limit, keep, deadline, twin, svg)
    raise typer.Exit(run_demo(options, as_json=as_json))
