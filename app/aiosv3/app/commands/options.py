"""Options that several verbs share, and the settings that they lead to."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from aiosv3.app.addresses import located
from aiosv3.app.settings import Settings, load_settings

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

Project = Annotated[
    Path | None,
    typer.Option("--project", "-p", help="The project file or its folder (default: the nearest aiosv3.toml)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings_of(project: Path | None) -> Settings:
    """The settings, with the addresses of the project's own local stack where none are configured."""
    return located(load_settings(project))


def echo_json(content: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(content, ensure_ascii=False, default=str))


def listen_to_clients(*, verbose: bool) -> None:
    """A verb says itself what went wrong, so the clients' own lines are shown only where asked for."""
    if verbose:
        log_to_stderr()
    else:
        logging.getLogger("aiosv3").addHandler(logging.NullHandler())


def log_to_stderr(level: int = logging.INFO) -> None:
    """Plain lines for a supervisor's log file."""
    logging.basicConfig(level=level, format=_FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)
