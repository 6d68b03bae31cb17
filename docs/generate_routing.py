"""Writes the reference of ``routing.yaml`` and its JSON Schema from the models that read it.

``python -m docs.generate_routing``. Both are kept in the repository, so that people read and editors find them there;
``tests/docs`` says when they are out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from docs.tables import cell, table, write

from aiosv3.router.routing.file import FILE_NAME, RoutingFile

_FOLDER = Path(__file__).resolve().parent / "reference"
TARGET = _FOLDER / "routing-file.md"
SCHEMA = _FOLDER / "routing.schema.json"
_HEAD = """# The routing file

<!-- Written by docs/generate_routing.py: do not edit. -->

`routing.yaml`, beside `aiosv3.toml`. Everything may be left out. What it is for: [Routing by policy](../routing.md).
Editors that speak YAML check it as it is written, with [routing.schema.json](routing.schema.json): put
`# yaml-language-server: $schema=PATH/TO/routing.schema.json` on its first line.
"""
_TITLES = {
    "RoutingFile": "The whole",
    "ClassesGroup": "classes",
    "DemandGroup": "classes.CLASS",
    "TenantGroup": "tenants.NAME",
    "PoolGroup": "pools.NAME",
    "WeightsGroup": "weights",
    "RuleGroup": "rules[]",
    "MatchGroup": "rules[].match",
    "ShareGroup": "rules[].shares[]",
}


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a routing file."""
    found = RoutingFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": FILE_NAME}


def page() -> str:
    """The whole page."""
    found = schema()
    parts = {"RoutingFile": found, **found["$defs"]}
    lines = [_HEAD]
    for name, title in _TITLES.items():
        lines += [f"## {title}", "", cell(parts[name]["description"]), ""]
        lines += table(
            ("key", "value", "default", "meaning"), [_row(*pair) for pair in parts[name]["properties"].items()]
        )
    return "\n".join(lines)


def _row(name: str, field: dict[str, Any]) -> tuple[str, str, str, str]:
    default = field.get("default")
    shown = (
        "" if "default" not in field or default in (None, {}, []) or isinstance(default, dict) else json.dumps(default)
    )
    meaning = field.get("description", "")
    return f"`{name}`", cell(kind_of(field)), f"`{shown}`" if shown else "", cell(meaning)


def kind_of(field: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "anyOf" in field:
        return " or ".join(kind_of(one) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        return f"table ({_TITLES[field['$ref'].rpartition('/')[2]]})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    kind = field.get("type")
    if kind == "array":
        if (field.get("minItems"), field.get("maxItems")) == (2, 2):
            return "two of: " + kind_of(field["items"])
        return "list of: " + kind_of(field["items"])
    if kind == "object":
        named = field.get("additionalProperties") or next(iter(field["patternProperties"].values()))
        return "by name: " + kind_of(named)
    return {"integer": "whole number", "number": "number", "boolean": "true or false"}.get(str(kind), "text") + _bounds(
        field
    )


def _bounds(field: dict[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "over", "maximum": "at most"}
    found = [f"{word} {field[name]:g}" for name, word in words.items() if name in field]
    return f" ({', '.join(found)})" if found else ""


def main() -> None:
    """Writes page and schema where they are not the same already."""
    write(TARGET, page())
    write(SCHEMA, json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{TARGET}\n{SCHEMA}\n")


if __name__ == "__main__":
    main()
