"""``aiosv3 new``: what it says, and that its README names commands that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from aiosv3.app.cli import app


def test_it_says_what_it_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aiosv3: Any) -> None:
    monkeypatch.chdir(tmp_path)
    said = aiosv3("new", "help-desk")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "help-desk: aiosv3.toml, help_desk.py, tests/test_help_desk.py, pyproject.toml, README.md, .gitignore"
    )
    again = aiosv3("new", "help-desk")
    assert (again.code, again.out) == (2, "")
    assert "is not empty (.gitignore, README.md, aiosv3.toml …)" in again.err


def test_a_name_may_be_given(tmp_path: Path, aiosv3: Any) -> None:
    said = json.loads(aiosv3("new", str(tmp_path / "json"), "--name", "My Desk", "--json").out)
    assert (said["name"], said["module"], said["folder"]) == ("my-desk", "my_desk", str(tmp_path / "json"))
    assert said["files"][:2] == ["aiosv3.toml", "my_desk.py"]
    assert 'agents = ["my_desk:my_desk"]' in (tmp_path / "json" / "aiosv3.toml").read_text(encoding="utf-8")


def test_the_working_folder_gives_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aiosv3: Any) -> None:
    folder = tmp_path / "clerk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert aiosv3("new", ".").code == 0
    assert (folder / "clerk.py").is_file()


@pytest.mark.parametrize("name", ["json", "2fast", "router"])
def test_a_bad_name_ends_with_2(tmp_path: Path, aiosv3: Any, name: str) -> None:
    said = aiosv3("new", str(tmp_path / name))
    assert said.code == 2
    assert "--name" in said.err
    assert not (tmp_path / name).exists()


def test_a_place_that_cannot_be_written_ends_with_2(tmp_path: Path, aiosv3: Any) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    said = aiosv3("new", str(tmp_path / "file" / "desk"))
    assert said.code == 2
    assert "cannot be written" in said.err


def test_the_commands_of_its_readme_are_there(tmp_path: Path, aiosv3: Any) -> None:
    aiosv3("new", str(tmp_path / "clerk"))
    readme = (tmp_path / "clerk" / "README.md").read_text(encoding="utf-8")
    typed = re.findall(r"aiosv3 ([a-z]+)(?: ([a-z]+))?", readme)
    assert len(re.findall(r"^\$ (?!pip)", readme, re.MULTILINE)) == 5
    verbs: Any = typer.main.get_command(app)
    for verb, inner in typed:
        assert verb in verbs.commands, f"aiosv3 {verb}"
        if hasattr(verbs.commands[verb], "commands"):
            assert inner in verbs.commands[verb].commands, f"aiosv3 {verb} {inner}"
