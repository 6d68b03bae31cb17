"""``aiosv3 config``: the settings that are in force, and where each comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.app.addresses import located
from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.effective import Effective, Source, effective, unused_variables
from aiosv3.app.settings import file_values, load_settings, project_file

All = Annotated[bool, typer.Option("--all", "-a", help="Those that nobody has set, too.")]


def config(project: Project = None, everything: All = False, as_json: Json = False) -> None:
    """Print the settings in force and where each comes from: file, environment, running stack or default.

    Secrets are hidden. JSON holds all settings.
    """
    given = load_settings(project)
    file = project_file(project)
    found = effective(located(given), given, file_values(file))
    unused = unused_variables(os.environ)
    if as_json:
        content = {"file": file, "settings": [one.to_json() for one in found], "unused_variables": unused}
        echo_json(content)
        return
    _show(found if everything else [one for one in found if one.source is not Source.DEFAULT])
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"file: {file.resolve()}" if file is not None else "no aiosv3.toml here or above", style="dim"))
    if not everything:
        console.print(Text("all others have their defaults: --all shows them", style="dim"))
    for variable in unused:
        typer.echo(f"{variable} sets nothing: between groups stand two underscores, AIOSV3_KAFKA__BOOTSTRAP", err=True)


def _show(found: Sequence[Effective]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    lines = [(one.name, _value(one), one.source) for one in found]
    width = max((len(name) for name, *_ in lines), default=0)
    long = min(48, max((len(value) for _, value, _ in lines), default=0))
    for name, value, source in lines:
        console.print(Text(f"{name:<{width}} = ").append(f"{value:<{long}}").append(f"  {source}", style="dim"))


def _value(one: Effective) -> str:
    return json.dumps(one.value, ensure_ascii=False, default=str)
