"""The released schemas: ``avsc/*.avsc`` are the source, ``lock.json`` numbers every version that was ever
released.

A file holds one named type and refers to others by full name. The lock holds each record that travels on its
own, complete. A change of documentation alone keeps its version; any other appends one, with the next id, and
is refused if it cannot read what is released. Versions are never removed: their records may still be on
somebody's log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiosv3.schemas.compat import check_compatible
from aiosv3.schemas.fingerprints import Schema, fingerprint

FIRST_ID: Final = 1_094_000_001
RECORDS: Final = (
    "JournalRecord",
    "ModelRequest",
    "Decision",
    "Completion",
    "PoolStatus",
    "AgentCard",
    "ToolRequest",
    "ToolResult",
    "Question",
    "PersonAnswer",
    "AnswerVerdict",
    "Delta",
    "LedgerEntry",
    "LedgerState",
    "PolicyVersion",
    "MemoryQuery",
    "MemoryEvent",
    "MemoryState",
    "KeyRecord",
)
"""The records that travel on their own; the other files are parts of them."""

NAMESPACE: Final = "aiosv3"
_FOLDER: Final = Path(__file__).parent / "avsc"
_LOCK: Final = Path(__file__).parent / "lock.json"


class Release(NamedTuple):
    """One version of one record, with the id by which it is written everywhere."""

    id: int
    name: str
    version: int
    fingerprint: str
    schema: Schema


def source_schema(name: str) -> Schema:
    """The record as its ``.avsc`` files have it today, complete.

    Each part is defined where it is first used.
    """
    schema: Schema = _complete(name, set())
    return schema


def load_lock(path: Path = _LOCK) -> tuple[Release, ...]:
    """All releases, oldest first."""
    if not path.exists():
        return ()
    return tuple(Release(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["releases"])


def write_lock(path: Path = _LOCK) -> tuple[Release, ...]:
    """Brings the lock up to date with the ``.avsc`` files.

    Raises :class:`IncompatibleSchema` and writes nothing.
    """
    releases = list(load_lock(path))
    for name in RECORDS:
        _release(releases, f"{NAMESPACE}.{name}", source_schema(name))
    entries = [release._asdict() for release in releases]
    path.write_text(json.dumps({"v": 1, "releases": entries}, indent=1) + "\n", encoding="utf-8")
    return tuple(releases)


def _release(releases: list[Release], name: str, schema: Schema) -> None:
    mark = fingerprint(schema)
    versions = [index for index, release in enumerate(releases) if release.name == name]
    if versions and releases[versions[-1]].fingerprint == mark:
        releases[versions[-1]] = releases[versions[-1]]._replace(schema=schema)
        return
    check_compatible(name, schema, [releases[index].schema for index in versions])
    number = max((release.id for release in releases), default=FIRST_ID - 1) + 1
    releases.append(Release(number, name, len(versions) + 1, mark, schema))


def _complete(name: str, defined: set[str]) -> Any:
    defined.add(name)
    schema = json.loads((_FOLDER / f"{name}.avsc").read_text(encoding="utf-8"))
    for field in schema.get("fields", ()):
        field["type"] = inline(field["type"], defined)
    return schema


def inline(node: Any, defined: set[str]) -> Any:
    """The type with the parts that it names put in, unless ``defined`` (added to) has them already."""
    if isinstance(node, list):
        return [inline(branch, defined) for branch in node]
    if isinstance(node, dict):
        return {key: inline(value, defined) if key == "items" else value for key, value in node.items()}
    namespace, _, name = node.rpartition(".")
    if namespace != NAMESPACE or name in defined:
        return node
    return _complete(name, defined)
