"""Writes the reference of the ``aiosv3`` command from the command itself: ``python docs/generate_commands.py``.

The page is kept in the repository, so that it can be read there; ``tests/docs`` says when it is out of date.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo, ParameterInfo

from aiosv3.app import cli

TARGET = Path(__file__).resolve().parent / "reference" / "commands.md"
_HEAD = """# The command

<!-- Written by docs/generate_commands.py: do not edit. -->

`aiosv3 VERB --help` says the same in a terminal. `aiosv3 --install-completion` has the shell complete verbs, options
and the names of the project's agents, pools and zones. `--json` prints one JSON document on stdout, or one a line
where there is no end to wait for. What goes wrong is one sentence on stderr.

## Exit codes

| code | meaning |
|---|---|
"""
_VALUES = {int: "N", float: "N", Path: "PATH"}


@dataclass(frozen=True)
class Shown:
    """One argument or option, as a reader sees it."""

    written: str
    help: str
    is_argument: bool
    name: str


def page() -> str:
    """The whole page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in exit_codes(cli.__doc__ or ""))
    root = cli.app.registered_callback
    options = "\n".join(_table(root.callback)) if root is not None and root.callback is not None else ""
    parts = [f"{_HEAD}{codes}", f"## Options of every verb\n\nThey stand before the verb.\n\n{options}\n"]
    parts += _sections("aiosv3", cli.app, "##")
    return "\n".join(parts)


def exit_codes(text: str) -> list[tuple[str, str]]:
    """Code and meaning of each, out of the command's own docstring: ``Exit codes: 0 done; 1 the task failed; …``."""
    found = re.search(r"Exit codes: (.*?)\.\n", text, re.DOTALL)
    if found is None:
        raise ValueError("the docstring of aiosv3.app.cli lists no exit codes any more")
    codes: list[tuple[str, str]] = []
    for part in " ".join(found[1].split()).split("; "):
        code, _, meaning = part.partition(" ")
        if code.isdigit():
            codes.append((code, _cell(meaning)))
        else:  # a meaning with a semicolon in it
            codes[-1] = (codes[-1][0], f"{codes[-1][1]}; {_cell(part)}")
    return codes


def verbs(app: typer.Typer = cli.app, before: str = "aiosv3") -> Iterator[str]:
    """All verbs that there are, as they are typed."""
    for command in app.registered_commands:
        yield f"{before} {_name(command)}"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from verbs(group.typer_instance, f"{before} {group.name}")


def _sections(before: str, app: typer.Typer, level: str) -> Iterator[str]:
    for command in app.registered_commands:
        if not command.hidden and command.callback is not None:
            yield _section(f"{before} {_name(command)}", command.callback, level)
    for group in app.registered_groups:
        inner = group.typer_instance
        if inner is not None:
            words = inner.info.help
            yield f"{level} {before} {group.name}\n\n{_prose(words if isinstance(words, str) else '')}"
            yield from _sections(f"{before} {group.name}", inner, f"{level}#")


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def _section(name: str, function: Callable[..., Any], level: str) -> str:
    shown = list(parameters(function))
    words = [name, *(["[OPTIONS]"] if any(not one.is_argument for one in shown) else [])]
    words += [one.name for one in shown if one.is_argument]
    prose = _prose(inspect.getdoc(function) or "")
    return "\n".join([f"{level} {name}", "", prose, "```text", " ".join(words), "```", "", *_table(function), ""])


def _table(function: Callable[..., Any]) -> list[str]:
    rows = [f"| {one.written} | {one.help} |" for one in parameters(function)]
    return ["| argument or option | meaning |", "|---|---|", *rows] if rows else []


def parameters(function: Callable[..., Any]) -> Iterator[Shown]:
    """What a verb takes, in the order of its help. Read from the signature, whatever typer makes of it inside."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = get_args(hints[name])
        info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), None)
        if info is None or info.hidden:
            continue
        bare, several = _bare(kind)
        required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            yield _argument(name, info, several=several, required=required)
        elif isinstance(info, OptionInfo):
            yield _option(name, info, bare, parameter.default, required=required)


def _bare(kind: Any) -> tuple[Any, bool]:
    """``list[str] | None`` -> (str, True)."""
    if get_origin(kind) in {Union, UnionType}:
        kind = next(one for one in get_args(kind) if one is not type(None))
    return (get_args(kind)[0], True) if get_origin(kind) is list else (kind, False)


def _argument(name: str, info: ArgumentInfo, *, several: bool, required: bool) -> Shown:
    title = (info.metavar or name.upper()).strip("[].")
    shown = (title if required else f"[{title}]") + ("..." if several else "")
    return Shown(f"`{shown}`", _cell(info.help or ""), is_argument=True, name=shown)


def _option(name: str, info: OptionInfo, kind: Any, default: Any, *, required: bool) -> Shown:
    # Inside Annotated there is no default, so typer keeps the first name in its place.
    given = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
    given = given or [f"--{name.replace('_', '-')}"]
    names = [one for part in given for one in part.split("/")]
    value = "" if kind is bool else f" {info.metavar or _VALUES.get(kind, 'TEXT')}"
    written = ", ".join(f"`{one}{value}`" for one in names) + (" (required)" if required else "")
    return Shown(written, _cell(info.help or "") + _default(default, info), is_argument=False, name=names[0])


def _default(value: Any, info: OptionInfo) -> str:
    if value in (None, "", inspect.Parameter.empty) or isinstance(value, bool) or "default" in (info.help or ""):
        return ""
    return f" Default: {value:g}." if isinstance(value, float) else f" Default: {value}."


def _prose(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    return "\n\n".join(part.replace("<", "&lt;") for part in paragraphs if part) + "\n"


def _cell(text: str) -> str:
    """One line that a table cell can hold, with nothing in it that would be read as a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def write(target: Path = TARGET) -> None:
    """Writes the page where it is not the same already."""
    text = page()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{TARGET}\n")
