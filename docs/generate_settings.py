"""Writes the reference of settings from the models that read them: ``python -m docs.generate_settings``.

The page is kept in the repository, so that it can be read there; ``tests/docs`` says when it is out of date.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from docs.tables import cell, table, write
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from aiosv3.app.settings import Settings
from aiosv3.schemas.headers import Clearance

TARGET = Path(__file__).resolve().parent / "reference" / "settings.md"
_HEAD = """# Settings

<!-- Written by docs/generate_settings.py: do not edit. -->

A project is a folder with an `aiosv3.toml`. Each setting of it has a variable of the environment, which goes before the
file. Names within a variable are joined by two underscores; lists and tables are written as JSON there
(`AIOSV3_AGENTS='["my_agents:triage"]'`). Shells take no hyphen in a variable: a pool or agent whose name has one is set
in the file. Both are read once, when a process starts. A setting that there is not is an error.

`aiosv3 config` prints what is set and by whom, `aiosv3 config --all` the defaults too; secrets are hidden.
"""
_OUTSIDE = """## What else is read from the environment

| variable | for |
|---|---|
| `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` | pools of these kinds at the provider's own URL; others say `api_key_env` |
| `AIOSV3_SECRET_NAME` | the secret `name` of tools |
| `JAVA_HOME` | the Java of the embedded broker, where `aiosv3[local]` has none for this machine |
| `XDG_CACHE_HOME` | where downloads are kept, `~/.cache` without it |
| `NO_COLOR` | any value: no colours on a terminal |
"""
_NAMES = {"pools": "NAME", "agent": "NAME", "people": "NAME", "tools": "ZONE", "servers": "NAME", "tenant": "NAME"}
_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    SecretStr: "secret",
}
_BOUNDS = (("ge", "at least {:,}"), ("gt", "over {:,}"), ("le", "at most {:,}"), ("min_length", "not empty"))


class Setting(NamedTuple):
    """One setting as a reader sees it; ``place`` are the names that lead to it."""

    place: tuple[str, ...]
    type: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        """The variable of the environment that sets it."""
        return "AIOSV3_" + "__".join(self.place).upper()


class Group(NamedTuple):
    """A table of the file; the first one, without a place, is the file itself."""

    place: tuple[str, ...]
    meaning: str
    settings: list[Setting]


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(group) for group in groups()), _OUTSIDE])


def groups(model: type[BaseModel] = Settings, place: tuple[str, ...] = ()) -> Iterator[Group]:
    """All tables, in the order of the models; a table of tables is followed by the one inside of it."""
    said = meanings(model)
    found: list[Setting] = []
    inner: list[tuple[type[BaseModel], tuple[str, ...]]] = []
    for name, field in model.model_fields.items():
        below = _model_of(field.annotation)
        if below is not None:
            named = (_NAMES[name],) if get_origin(field.annotation) is dict else ()
            inner.append((below, (*place, name, *named)))
        elif (*place, name) != ("folder",):  # where the file lies
            shown = field.alias or name  # a word of Python's own cannot name a field
            found.append(Setting((*place, shown), type_name(field), _default(field), said.get(name, "")))
    yield Group(place, inspect.getdoc(model) or "", found)
    for below, path in inner:
        yield from groups(below, path)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field of a model, out of its source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = str(below.value.value)  # type: ignore[attr-defined]
    return found


def type_name(field: FieldInfo) -> str:
    """The type and the bounds of a field, in words."""
    bounds = [
        words.format(getattr(bound, name))
        for bound in field.metadata
        for name, words in _BOUNDS
        if getattr(bound, name, None) is not None
    ]
    return ", ".join([_words(field.annotation), *bounds])


def _words(kind: Any) -> str:
    origin, inside = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return " or ".join(_words(one) for one in inside if one is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inside)
    if origin is list:
        return f"list of {_words(inside[0])}"
    if origin is dict:
        return f"table of {_words(inside[1])}"
    if hasattr(kind, "__metadata__"):
        return _words(inside[0])
    if kind is Clearance:
        return ", ".join(f"`{one.label}`" for one in Clearance)
    return _PLAIN[kind]


def _model_of(kind: Any) -> type[BaseModel] | None:
    """The model of a group, or of each value of a table of groups."""
    if get_origin(kind) is dict:
        kind = get_args(kind)[1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default
    if value is None or value in ("", [], {}) or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return ""
    if isinstance(value, Clearance):
        value = value.label
    elif isinstance(value, (Enum, Path)):
        value = str(value)
    return f"`{json.dumps(value)}`"


def _section(group: Group) -> str:
    title = f"[{'.'.join(group.place)}]" if group.place else "The file itself"
    rows = [
        (f"`{one.place[-1]}`", cell(one.type), one.default, cell(one.meaning), f"`{one.variable}`")
        for one in group.settings
    ]
    prose = [cell(part) + "\n" for part in group.meaning.split("\n\n")] if group.place else []
    head = ("setting", "value", "default", "meaning", "variable")
    return "\n".join([f"## {title}", "", *prose, *(table(head, rows) if rows else ())])


if __name__ == "__main__":
    write(TARGET, page())
    sys.stdout.write(f"{TARGET}\n")
