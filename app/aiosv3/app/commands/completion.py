"""What a shell completes: names out of the project's files. Nothing is imported, and no service is asked."""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import typer

from aiosv3.app.settings import Settings, load_settings
from aiosv3.schemas.errors import AiosError

_NONE: Final = Settings.model_construct()


def agent_names(context: typer.Context, incomplete: str) -> list[str]:
    """The agents of the project, as their decorators name them."""
    return _beginning(incomplete, _agents(_settings(context)))


def pool_names(context: typer.Context, incomplete: str) -> list[str]:
    """The pools of the project file."""
    return _beginning(incomplete, _settings(context).pools)


def zone_names(context: typer.Context, incomplete: str) -> list[str]:
    """The tool zones of the project file."""
    return _beginning(incomplete, _settings(context).tools)


def _settings(context: typer.Context) -> Settings:
    """A shell that completes has no place for an error: what is wrong is said when the command runs."""
    try:
        return load_settings(context.params.get("project"))
    except AiosError:
        return _NONE


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _agents(settings: Settings) -> Iterator[str]:
    from aiosv3.app.determinism import agents_in  # workers have this module too, and no shell that completes

    for place in settings.agents:
        module, _, function = place.partition(":")
        file = _source_of(module, settings.folder)
        if file is None:
            continue
        try:
            with tokenize.open(file) as source:
                found = agents_in(ast.parse(source.read()))
        except (OSError, SyntaxError, ValueError):
            continue
        if function in found:
            yield found[function]


def _source_of(module: str, folder: Path) -> Path | None:
    """The file that an import of ``module`` would find, as far as its name says."""
    inside = Path(*module.split("."))
    for root in (folder, *map(Path, sys.path)):
        for file in (root / inside.with_suffix(".py"), root / inside / "__init__.py"):
            if file.is_file():
                return file
    return None
