"""What the generators of reference pages share: table cells, and writing a page only where it has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def cell(text: str) -> str:
    """One line that a Markdown table cell can hold, with nothing in it that would be read as a tag."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|").replace("<", "&lt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, and an empty one."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def write(target: Path, text: str) -> None:
    """Writes a page where it is not the same already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
