"""Writes the reference of errors from the classes themselves: ``python -m docs.generate_errors``.

The page is kept in the repository, so that it can be read there; ``tests/docs`` says when it is out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs.tables import cell, table, write

import aiosv3.agents
import aiosv3.app
import aiosv3.memory
import aiosv3.prompts
import aiosv3.router
import aiosv3.schemas
import aiosv3.streams
import aiosv3.tools
from aiosv3.app.cli import exit_code
from aiosv3.schemas.errors import AiosError

TARGET = Path(__file__).resolve().parent / "reference" / "errors.md"
_HEAD = """# Errors

<!-- Written by docs/generate_errors.py: do not edit. -->

Every error that AIOSv3 raises on purpose is an `AiosError`. Its message says what to do next. Its type says whether
trying again makes sense, and is what a failed result has in `error.type`.

*Try again*: whether the same thing, asked again, may work. Where there is nothing, the meaning says it. A single error
may know better (`error.retryable`). *Exit code*: that of the command which the error ends; see
[the command](commands.md).
"""
_SECTIONS = (
    ("agents.errors", "In an agent", "A `StepError` is raised where a step is awaited, and by a client's `result()`."),
    ("agents.client", "In a program that gives work", "Raised by `Client` and `SyncClient`, beside those above."),
    ("agents", "Around an agent", "Its definition, its tools, and what the desk and the worker make of records."),
    ("agents.testing", "In a test", "Raised by `MeshTest`."),
    ("app", "In the command", "Of settings, of the local stack, and of single verbs."),
    ("router.endpoints", "Of a model's endpoint", "An agent gets `ModelUnavailable` or `ModelRefused`."),
    ("router", "Of routing", "In a router or a model worker."),
    ("prompts", "Of a prompt's scan", "In a worker that looks at prompts before it sends them."),
    ("tools", "Of a tool's server", "An agent gets `ToolFailed`, with these words."),
    ("memory", "Of memory", "In a memory worker, and in the command where it reads memories."),
    ("streams", "Of the stream runtime", "In every worker, and in the command where it reads topics."),
    ("schemas", "Of the wire", "Wherever records are read or written."),
)
"""Module (longest that fits), title, where one meets them."""
_INSIDE = ("aiosv3.app.demo.", "aiosv3.streams.testing.")
"""What nobody meets who uses this."""


class Shown(NamedTuple):
    """One class of errors, as a reader sees it."""

    kind: type[AiosError]
    section: str

    @property
    def retry(self) -> str:
        """What the class says of trying again; nothing where it says nothing."""
        told = getattr(self.kind, "retryable", getattr(getattr(self.kind, "usual", None), "retry", None))
        return "" if told is None else "yes" if told else "no"

    @property
    def row(self) -> tuple[str, ...]:
        """Name with its place in the tree, retry, exit code, meaning."""
        parents = [base.__name__ for base in self.kind.__bases__ if base not in {AiosError, Exception}]
        name = f"`{self.kind.__name__}`" + (f", a kind of `{parents[0]}`" if parents else "")
        meaning = (inspect.getdoc(self.kind) or "").split("\n\n", maxsplit=1)[0]
        return name, self.retry, str(exit_code(self.kind.__new__(self.kind))), cell(meaning)


def errors() -> Iterator[Shown]:
    """All classes below AiosError that this distribution defines, parents before children."""
    for package in (
        aiosv3.schemas,
        aiosv3.streams,
        aiosv3.agents,
        aiosv3.router,
        aiosv3.tools,
        aiosv3.memory,
        aiosv3.prompts,
        aiosv3.app,
    ):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".__main__"):  # which is a program
                importlib.import_module(module.name)
    yield from _below(AiosError)


def _below(parent: type[AiosError]) -> Iterator[Shown]:
    for kind in sorted(parent.__subclasses__(), key=lambda one: one.__name__):
        place = kind.__module__
        if place.startswith("aiosv3.") and not place.startswith(_INSIDE) and not kind.__name__.startswith("_"):
            yield Shown(kind, section_of(place.removeprefix("aiosv3.")))
        yield from _below(kind)


def section_of(module: str) -> str:
    """The section that a module's errors stand in; raises ``ValueError`` where there is none."""
    fitting = [name for name, _, _ in _SECTIONS if module == name or module.startswith(f"{name}.")]
    if not fitting:
        raise ValueError(f"no section of docs/reference/errors.md is for {module}: add one")
    return max(fitting, key=len)


def page() -> str:
    """The whole page."""
    found = {shown.kind: shown for shown in errors()}.values()
    parts = [_HEAD]
    for name, title, where in _SECTIONS:
        rows = [shown.row for shown in found if shown.section == name]
        head = ("error", "try again", "exit code", "meaning")
        parts.append("\n".join([f"## {title}", "", where, "", *table(head, rows)]))
    return "\n".join(parts)


if __name__ == "__main__":
    write(TARGET, page())
    sys.stdout.write(f"{TARGET}\n")
