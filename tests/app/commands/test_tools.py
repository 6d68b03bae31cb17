"""``aiosv3 tools list`` and ``aiosv3 stubs``, on a project with servers that answer and one that does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from toolstage import SERVERS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "aiosv3.toml").write_text(
        f"""
[tools.office.servers.crm]
kind = "stdio"
command = "{sys.executable}"
args = ["{SERVERS / "plain.py"}"]

[tools.home.servers.notes]
kind = "files"
root = "notes"
""",
        encoding="utf-8",
    )
    return tmp_path


def add(project: Path, text: str) -> None:
    path = project / "aiosv3.toml"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_servers_and_tools_are_listed(project: Path, aiosv3: Any) -> None:
    said = aiosv3("tools", "list", "-p", str(project))
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "home/notes (files)"
    assert "  list(path)  What is in a folder." in lines
    assert "office/crm (stdio)" in lines
    assert "  double()" in lines
    found = json.loads(aiosv3("tools", "list", "--json", "-p", str(project)).out)
    assert [(server["zone"], server["server"], server["error"]) for server in found] == [
        ("home", "notes", None),
        ("office", "crm", None),
    ]
    double = found[1]["tools"][0]
    assert (double["name"], double["repeatable"]) == ("double", True)
    assert double["output_schema"]["required"] == ["number"]


def test_a_server_that_does_not_answer_is_named(project: Path, aiosv3: Any) -> None:
    add(project, '\n[tools.office.servers.gone]\nkind = "stdio"\ncommand = "/no/such/program"\n')
    said = aiosv3("tools", "list", "-p", str(project))
    assert said.code == 1
    assert "does not answer: gone: it cannot be used: FileNotFoundError" in said.out
    assert "office/crm (stdio)" in said.out
    assert aiosv3("stubs", "gone", "-p", str(project)).code == 1


def test_a_project_without_tools(tmp_path: Path, aiosv3: Any) -> None:
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    assert "No tool servers" in aiosv3("tools", "list", "-p", str(tmp_path)).out


def test_stubs_are_printed_or_written(project: Path, aiosv3: Any, tmp_path: Path) -> None:
    printed = aiosv3("stubs", "crm", "-p", str(project))
    assert printed.code == 0
    assert "def double(" in printed.out
    target = tmp_path / "crm.py"
    assert aiosv3("stubs", "office/crm", "-o", str(target), "-p", str(project)).code == 0
    assert target.read_text(encoding="utf-8") == printed.out


def test_a_server_has_one_name(project: Path, aiosv3: Any) -> None:
    add(project, '\n[tools.office.servers.notes]\nkind = "files"\nroot = "notes"\n')
    assert "no server is named 'x'; there is home/notes, office/crm" in aiosv3("stubs", "x", "-p", str(project)).err
    ambiguous = aiosv3("stubs", "notes", "-p", str(project))
    assert (ambiguous.code, "several servers are named 'notes'" in ambiguous.err) == (2, True)
    assert aiosv3("stubs", "home/notes", "-p", str(project)).code == 0
