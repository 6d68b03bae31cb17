"""The wire reference names what the code has: written by hand for headers and topics, generated for records."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Final

import pytest

from aiosv3.schemas import headers
from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
from aiosv3.schemas.topics import Topics

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "wire.md").read_text(encoding="utf-8")
SPANS: Final = set(re.findall(r"`([^`\n]+)`", PAGE))
GRANT: Final = Grant(
    *("t", "r", Clearance.PUBLIC), cap=1, regions=("r",), terms=("t",), workflow="w", type="t", label="l", subject="s"
)
ROUTE: Final = Route(None, "auto", 0, 0, stream=0, found=("card",), overflow=1)
ARGUMENTS: Final = {"agent": "AGENT", "pool": "POOL"}


def test_every_header_is_named() -> None:
    assert {*headers.MESH_HEADERS, *headers.TASK_HEADERS} <= SPANS


def test_the_nine_stand_in_their_order() -> None:
    assert ", ".join(f"`{name}`" for name in headers.MESH_HEADERS) in " ".join(PAGE.split())


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("aios-grant", GRANT),
        ("aios-route", ROUTE),
        ("aios-reply", Reply("t", 0, 0, "t", "s", "")),
    ],
)
def test_the_keys_of_our_headers_stand_in_their_order(title: str, header: Grant | Route | Reply) -> None:
    section = PAGE.split(f"### {title}\n")[1].split("\n#")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    keys = [key for cell in first_cells for key in re.findall(r"`(\w+)`", cell)]
    assert keys == list(json.loads(header.encode()))
    assert len(keys) == len(dataclasses.fields(header)) + 1


def test_every_topic_is_named() -> None:
    names = {
        "tasks": "tasks.AGENT",
        "journal": "journal.AGENT",
        "results": "results.AGENT",
        "state": "state.AGENT",
        "pool_prompts": "prompts.POOL",
        "completions": "completions.POOL",
        "tools": "tools.ZONE",
        "tool_results": "tool-results.ZONE",
    }
    topics = Topics(prefix="")
    methods = {name for name in vars(Topics) if not name.startswith("_")} - {"prefix", "subject"}
    plain = {getattr(topics, name)() for name in methods - set(names)}
    assert plain | set(names.values()) <= SPANS
