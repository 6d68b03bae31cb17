"""Generated modules: typed, formatted, the same each time, and usable."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter

from aiosv3.app.stubs import docstring, module_of
from aiosv3.tools import ToolSpec

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    "required": ["name"],
}
LONG = "a_rather_long_name_of_a_property_that_somebody_once_thought_was_fine"
SPECS = [
    ToolSpec("ping", "", {"type": "object", "properties": {}, "additionalProperties": False}),
    ToolSpec("anything", 'Says "hi"', {"type": "object"}, idempotent=True),
    ToolSpec(
        "get-ticket",
        "One ticket, with all that belongs to it, \\ and a description that is so long that it has to be broken into "
        'several lines, which end with a """quote"""',
        {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "class": {"type": "string"},
                "X-Reason": {"enum": ["a", "b", None]},
                "tree": {"$ref": "#/$defs/Node"},
            },
            "required": ["id"],
            "$defs": {"Node": NODE},
        },
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        read_only=True,
    ),
    ToolSpec(
        "list",
        "Shadows a builtin.",
        {
            "type": "object",
            "properties": {
                "state": {"enum": [f"state number {number}" for number in range(8)]},
                "quoted": {"enum": ['a"b', "c'd"]},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "either": {"type": ["string", "number"]},
                LONG: {"type": "object", "properties": {LONG: {"type": "array", "items": {"type": "boolean"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "wide": {
                    "anyOf": [
                        {"type": "object", "properties": {f"field{number}": {"type": "integer"}}, "title": "x"}
                        for number in range(6)
                    ]
                },
                "loop": {"$ref": "#/properties/loop"},
                "free": True,
            },
        },
        {"type": "array", "items": {"type": "object", "properties": {"n": {"const": 1}}, "required": ["n"]}},
    ),
    ToolSpec("list_", "Nearly the same name.", {"type": "object"}, {}),
    ToolSpec("2nd tool!", "Not a name.", {"type": "object"}, {"type": "object"}),
]

WRITTEN = Path(__file__).resolve().parents[1] / "typing" / "snippets" / "crm.py"
"""As it is now: tests/typing has mypy and pyright look at it, and at a module that uses it."""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crm", WRITTEN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["crm"] = module
    spec.loader.exec_module(module)
    return module


def test_the_same_tools_give_the_same_text() -> None:
    assert module_of("office", "crm", SPECS) == module_of("office", "crm", SPECS[::-1]) == WRITTEN.read_text("utf-8")
    assert module_of("office", "crm", []) == ('"""Tools of office/crm, written by ``aiosv3 stubs``: do not edit."""\n')


@pytest.mark.parametrize("width", [88, 120])
def test_ruff_leaves_it_as_it_is(width: int) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", f"--line-length={width}", str(WRITTEN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_says_the_same_to_models_and_takes_what_the_server_sends() -> None:
    crm = load()
    tool = crm.get_ticket
    assert (tool.zone, tool.server, tool.name, tool.idempotent) == ("office", "crm", "get-ticket", True)
    assert set(tool.input_schema["properties"]) == {"id", "class", "X-Reason", "tree"}
    assert tool.input_schema["required"] == ["id"]
    node = TypeAdapter(tool.output_type).validate_python({"name": "x", "below": [{"name": "y"}]})
    assert node == {"name": "x", "below": [{"name": "y"}]}
    assert TypeAdapter(crm.list_2.output_type).validate_python([{"n": 1}]) == [{"n": 1}]
    for name in ("ping", "anything", "list_2", "list_3", "t_2nd_tool"):
        assert getattr(crm, name).input_schema["type"] == "object", name


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("  Two\n words. ", ['    """Two words."""']),
        ('It says "hi"', ['    """It says "hi\'"""']),
        ("a\\b", ['    """a\\\\b"""']),
    ],
)
def test_docstrings(text: str, lines: list[str]) -> None:
    assert docstring(text) == lines
