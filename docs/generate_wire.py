"""Writes the records part of the wire reference from the Avro schemas, so that nobody copies field lists by hand.

Run by ``docs/conf.py`` at each build, or alone: ``python docs/generate_wire.py``. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Schema: TypeAlias = Any  # an Avro schema as JSON gives it: a name, a list (union) or an object

_ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = _ROOT / "schemas" / "aiosv3" / "schemas" / "avsc"
TARGET = Path(__file__).resolve().parent / "_generated" / "records.md"
_NAMED = ("record", "enum", "fixed")
_PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def write(schemas: Path = SCHEMAS, target: Path = TARGET) -> None:
    """Renders every ``*.avsc`` of ``schemas`` into ``target``; raises ``FileNotFoundError`` when there is none."""
    files = sorted(schemas.glob("*.avsc"))
    if not files:
        raise FileNotFoundError(f"no .avsc file in {schemas}: the wire reference would be empty")
    text = "\n".join(page(json.loads(file.read_text(encoding="utf-8")), file.name) for file in files)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def page(schema: Schema, source: str) -> str:
    """The Markdown of one file: a section for its record, and one for each named type that it defines inside.

    A file that holds a union of several records gives a section each.
    """
    tops = schema if isinstance(schema, list) else [schema]
    named = [definition for top in tops for definition in _definitions(top)]
    inner = named[1:] if len(tops) == 1 else []
    lines: list[str] = []
    for definition in named:
        level = "####" if definition in inner else "###"
        lines += [f"{level} {definition['name']}", ""]
        if definition not in inner:
            lines += [f"`{source}`", ""]
        lines += _body(definition)
    return "\n".join(lines)


def type_name(schema: Schema) -> str:
    """The type as a reader says it: ``null or string``, ``long (timestamp-millis)``; named types are links."""
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVE else _link(schema)
    if isinstance(schema, list):
        return " or ".join(type_name(branch) for branch in schema)
    kind = schema["type"]
    if isinstance(kind, (dict, list)):
        return type_name(kind)
    if kind in _NAMED:
        name = _link(schema["name"])
    elif kind == "array":
        name = f"array of {type_name(schema['items'])}"
    elif kind == "map":
        name = f"map of {type_name(schema['values'])}"
    else:
        name = str(kind)
    logical = schema.get("logicalType")
    return f"{name} ({logical})" if logical else name


def _link(full_name: str) -> str:
    name = full_name.rsplit(".", 1)[-1]
    return f"[{name}](#{name.lower()})"


def _definitions(schema: Schema) -> Iterator[dict[str, Any]]:
    """The named types of a schema, each where it is defined, outermost first."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _definitions(branch)
    elif isinstance(schema, dict):
        if schema["type"] in _NAMED:
            yield schema
        for field in schema.get("fields", ()):
            yield from _definitions(field["type"])
        for part in ("items", "values"):
            if part in schema:
                yield from _definitions(schema[part])
        if isinstance(schema["type"], (dict, list)):
            yield from _definitions(schema["type"])


def _body(definition: dict[str, Any]) -> list[str]:
    lines = [_cell(definition["doc"]), ""] if definition.get("doc") else []
    if definition["type"] == "enum":
        lines += ["One of " + ", ".join(f"`{symbol}`" for symbol in definition["symbols"]) + ".", ""]
    fields = definition.get("fields", ())
    if fields:
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(field) for field in fields]
        lines += [""]
    return lines


def _row(field: dict[str, Any]) -> str:
    default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
    cells = (f"`{field['name']}`", type_name(field["type"]), _cell(default), _cell(field.get("doc", "")))
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """One line that a Markdown table cell can hold, with nothing in it that would be read as a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    write()
