"""Results as a page: tables that say what ran, what survived, how long it is, and what the types catch."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from docs.compare.mistakes import KINDS
from docs.compare.scenarios import ALL

_TITLES: Final = {
    "retry": "model call with retry",
    "fan_out": "fan-out, fan-in",
    "approval": "approval with timeout",
    "sleep": "sleep over a restart",
    "conversation": "conversation by key",
    "tool_loop": "tool loop",
    "cancel": "cancel with cleanup",
}
_NAMES: Final = {
    "aiosv3": "AIOSv3",
    "temporal": "Temporal",
    "restate": "Restate",
    "dbos": "DBOS",
    "langgraph": "LangGraph",
}


def page(found: dict[str, Any]) -> str:
    """Markdown, to be included in a page."""
    names = list(found)
    parts = [
        f"Run on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        _table(["", *(_NAMES[name] for name in names)], [["versions", *(_versions(found[name]) for name in names)]]),
        "### What survived kill -9",
        _table(
            ["program", *(_NAMES[name] for name in names)],
            ([_TITLES[program], *(_survival(found[name], program) for name in names)] for program in ALL),
        ),
        "### Lines of code",
        _table(["file", *(_NAMES[name] for name in names)], _lines(found, names)),
        "### Mistakes that the types catch",
        _table(
            ["mistake", *(_NAMES[name] for name in names)],
            ([kind, *(_caught(found[name], kind) for name in names)] for kind in KINDS),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _versions(framework: dict[str, Any]) -> str:
    return str(framework.get("versions") or f"not run here: {framework['not_run']}")


def _survival(framework: dict[str, Any], program: str) -> str:
    result = framework.get("results", {}).get(program)
    if result is None:
        return "not run here"
    if "error" in result:
        return f"error: {result['error'][:80]}"
    again = f"{result['paid_twice']} / {result['in_flight']}"
    return f"{'yes' if result['survived'] else '**no**'}; {again}; {result['seconds']:.0f} s"


def _lines(found: dict[str, Any], names: list[str]) -> Iterable[list[str]]:
    def cell(name: str, stems: Iterable[str]) -> str:
        return str(sum(found[name]["lines"].get(stem, 0) for stem in stems))

    for program in ALL:
        yield [_TITLES[program], *(cell(name, [program]) for name in names)]
    yield ["**all seven**", *(f"**{cell(name, ALL)}**" for name in names)]
    yield ["steps, once for a project", *(cell(name, ["activities", "steps", "tasks"]) for name in names)]
    yield ["process and client", *(cell(name, ["harness"]) for name in names)]


def _caught(framework: dict[str, Any], kind: str) -> str:
    caught = framework.get("caught")
    return "not run here" if caught is None else "yes" if caught[kind] else "**no**"
