"""BACKWARD_TRANSITIVE: a new schema must read what every released version wrote.

The rules are those of "Schema Resolution" in the Avro 1.12 specification, and one more: a logical type may
not change, because the bytes would still be read, as something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from aiosv3.schemas.errors import IncompatibleSchema
from aiosv3.schemas.fingerprints import Schema

_PROMOTIONS: Final = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}
_NAMED: Final = {"record", "enum", "fixed", "error"}
_LOGICAL: Final = ("logicalType", "precision", "scale")


class Problem(NamedTuple):
    """One reason why a reader cannot read a writer: where, and which rule is broken."""

    field: str
    rule: str


def check_compatible(subject: str, schema: Schema, released: Sequence[Schema]) -> None:
    """Raises :class:`IncompatibleSchema` for the first of ``released``, oldest first, that cannot be read."""
    for version, old in enumerate(released, start=1):
        for problem in problems(schema, old):
            raise IncompatibleSchema(
                subject,
                problem.field,
                problem.rule,
                f"{subject}: {problem.field}: {problem.rule} (against version {version}). Records of "
                "that version are still on the log: give the field a default, or start a new generation of the topic.",
            )


def problems(reader: Schema, writer: Schema) -> Iterator[Problem]:
    """Everything that keeps ``reader`` from reading ``writer``'s records, in field order."""
    return _Comparison().compare(reader, writer, "")


class _Comparison:
    """One walk over two schemas; remembers the named types that it has seen on each side."""

    def __init__(self) -> None:
        self._readers: dict[str, Any] = {}
        self._writers: dict[str, Any] = {}
        self._seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Problem]:
        reader, writer = _resolve(reader, self._readers), _resolve(writer, self._writers)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._into_union(reader, writer, path)
        else:
            yield from self._one(reader, writer, path)

    def _into_union(self, reader: list[Any], writer: Any, path: str) -> Iterator[Problem]:
        branches = [_resolve(branch, self._readers) for branch in reader]
        written = _kind(writer)
        for branch in branches:
            if _kind(branch) == written and (written not in _NAMED or _matches_name(branch, writer)):
                yield from self._one(branch, writer, path)
                return
        if not any(_kind(branch) in _PROMOTIONS.get(written, ()) for branch in branches):
            yield Problem(path or "(top)", f"{_label(writer)} was removed from the union")

    def _one(self, reader: Any, writer: Any, path: str) -> Iterator[Problem]:
        kind, written = _kind(reader), _kind(writer)
        where = path or "(top)"
        if kind != written and kind not in _PROMOTIONS.get(written, ()):
            yield Problem(where, f"the type changed from {_label(writer)} to {_label(reader)}")
        elif any(_option(reader, name) != _option(writer, name) for name in _LOGICAL):
            yield Problem(where, f"the logical type changed from {_label(writer)} to {_label(reader)}")
        elif kind in _NAMED and not _matches_name(reader, writer):
            yield Problem(where, f"{kind} {writer['name']} was renamed to {reader['name']} without an alias")
        elif kind == "record":
            yield from self._records(reader, writer, path)
        elif kind == "enum":
            yield from _enums(reader, writer, where)
        elif kind == "fixed" and reader["size"] != writer["size"]:
            yield Problem(where, f"the size changed from {writer['size']} to {reader['size']}")
        elif kind == "array":
            yield from self.compare(reader["items"], writer["items"], path + "[]")
        elif kind == "map":
            yield from self.compare(reader["values"], writer["values"], path + "{}")

    def _records(self, reader: Schema, writer: Schema, path: str) -> Iterator[Problem]:
        pair = (_full_name(reader), _full_name(writer))
        if pair in self._seen:
            return
        self._seen.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        _learn(writer, self._writers)
        _learn(reader, self._readers)
        for field in reader["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            old = next((written[name] for name in names if name in written), None)
            where = f"{path}.{field['name']}" if path else field["name"]
            if old is not None:
                yield from self.compare(field["type"], old["type"], where)
            elif "default" not in field:
                yield Problem(where, "a field without default was added")


def _enums(reader: Schema, writer: Schema, where: str) -> Iterator[Problem]:
    lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if lost and "default" not in reader:
        yield Problem(where, f"enum symbols were removed: {', '.join(lost)}")


def _learn(node: Any, named: dict[str, Any]) -> None:
    """Remembers the named types below ``node``: later fields may refer to them by name."""
    if isinstance(node, list):
        for branch in node:
            _learn(branch, named)
    elif isinstance(node, dict):
        if "name" in node:
            named[_full_name(node)] = node
        for field in node.get("fields", ()):
            _learn(field["type"], named)
        for key in ("type", "items", "values"):
            if isinstance(node.get(key), dict | list):
                _learn(node[key], named)


def _resolve(node: Any, named: dict[str, Any]) -> Any:
    """The definition behind a reference or a wrapper such as ``{"type": {...}}``."""
    if isinstance(node, str):
        return named.get(node) or next((v for k, v in named.items() if k.rpartition(".")[2] == node), node)
    if isinstance(node, dict):
        if isinstance(node.get("type"), dict | list):
            return _resolve(node["type"], named)
        _learn(node, named)
    return node


def _kind(node: Any) -> str:
    kind = node["type"] if isinstance(node, dict) else node
    return "record" if kind == "error" else str(kind)


def _option(node: Any, name: str) -> Any:
    return node.get(name) if isinstance(node, dict) else None


def _label(node: Any) -> str:
    kind = _kind(node)
    if kind in _NAMED:
        return f"{kind} {node['name']}"
    logical = _option(node, "logicalType")
    return f"{kind} ({logical})" if logical else kind


def _full_name(node: Schema) -> str:
    name, namespace = node["name"], node.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _matches_name(reader: Schema, writer: Schema) -> bool:
    written = writer["name"].rpartition(".")[2]
    names = [reader["name"], *reader.get("aliases", ())]
    return any(name.rpartition(".")[2] == written for name in names)
