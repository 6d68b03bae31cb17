"""``aiosv3 new``: a project that can be tested, started and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiosv3.app.commands.options import Json, echo_json
from aiosv3.app.scaffold import BadProject, named, write_project
from aiosv3.app.settings import PROJECT_FILE, SettingsError


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty, or not there yet.")],
    name: Annotated[str | None, typer.Option("--name", help="Of project and agent (default: the folder's).")] = None,
    as_json: Json = False,
) -> None:
    """Write a new project: an agent, its test, settings with pools to choose from. Nothing is written over."""
    place = folder.resolve()
    try:
        names = named(name if name is not None else place.name)
        written = write_project(place, names)
    except BadProject as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        raise SettingsError(f"{error.filename or place} cannot be written: {error.strerror}") from None
    files = [path.relative_to(place).as_posix() for path in written]
    if as_json:
        echo_json({"name": names.project, "module": names.module, "folder": str(place), "files": files})
        return
    typer.echo(f"{folder}: {', '.join(files)}")
    typer.echo(
        f"Next: cd {folder}; pytest; aiosv3 check; aiosv3 up. The agent is in {names.module}.py, its pools in "
        f"{PROJECT_FILE}."
    )
