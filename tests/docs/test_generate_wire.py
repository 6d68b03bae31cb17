"""docs/generate_wire.py: schemas to Markdown."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "generate_wire.py"


@pytest.fixture(scope="module")
def wire() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_wire", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("string", "string"),
        (["null", "string"], "null or string"),
        ("aiosv3.Usage", "[Usage](#usage)"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "long (timestamp-millis)"),
        ({"type": "array", "items": "aiosv3.Message"}, "array of [Message](#message)"),
        ({"type": "map", "values": ["null", "int"]}, "map of null or int"),
        ({"type": "enum", "name": "Role", "symbols": ["USER"]}, "[Role](#role)"),
        ({"type": {"type": "string", "logicalType": "uuid"}}, "string (uuid)"),
    ],
)
def test_types_in_words(wire: ModuleType, schema: Any, text: str) -> None:
    assert wire.type_name(schema) == text


def test_a_page_has_the_record_and_what_it_defines_inside(wire: ModuleType) -> None:
    role = {"type": "enum", "name": "Role", "symbols": ["USER", "TOOL"]}
    fields = [
        {"name": "text", "type": ["null", "string"], "doc": "What <it>\n says: a|b.", "default": None},
        {"name": "roles", "type": {"type": "array", "items": role}},
    ]
    page = wire.page({"type": "record", "name": "Said", "doc": "A word.", "fields": fields}, "Said.avsc")
    assert page.startswith("### Said\n\n`Said.avsc`\n\nA word.\n")
    assert "| `text` | null or string | `null` | What &lt;it> says: a\\|b. |" in page
    assert "| `roles` | array of [Role](#role) |  |  |" in page
    assert "#### Role\n\nOne of `USER`, `TOOL`.\n" in page


def test_every_schema_gets_its_section(wire: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "out" / "records.md"
    wire.write(target=target)
    text = target.read_text(encoding="utf-8")
    for file in wire.SCHEMAS.glob("*.avsc"):
        assert f"### {json.loads(file.read_text(encoding='utf-8'))['name']}\n" in text


def test_no_schemas_is_an_error(wire: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="would be empty"):
        wire.write(schemas=tmp_path, target=tmp_path / "records.md")


def test_an_unchanged_page_is_left_alone(wire: ModuleType, tmp_path: Path) -> None:
    """Sphinx reads only pages that are newer than the last build."""
    target = tmp_path / "records.md"
    wire.write(target=target)
    before = target.stat().st_mtime_ns
    wire.write(target=target)
    assert target.stat().st_mtime_ns == before
