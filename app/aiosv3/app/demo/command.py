"""``aiosv3 demo``: the sample job from nothing to its table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only so many distributions.")]
Seed = Annotated[int, typer.Option("--seed", help="Chooses the moments of the kills.")]
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
) -> None:
    """Run the sample job on a real Kafka and a small local model, with workers killed on the way.

    Exit code 0 only if nothing was lost, nothing done twice and no answered call made again.
    """
    from aiosv3.app.demo.driver import DemoOptions, run_demo

    options = DemoOptions(folder=folder, csv=csv, seed=seed, limit=limit, keep=keep, deadline_s=deadline)
    raise typer.Exit(run_demo(options, as_json=as_json))
