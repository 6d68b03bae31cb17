"""Completion in a shell: names come from the project's files alone, and no error comes between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from aiosv3.app.commands.completion import agent_names, pool_names, zone_names

COMMAND: Final = Path(sys.executable).parent / "aiosv3"
_PROJECT: Final = """
agents = ["desks.letters:letters", "desks.letters:other", "desks:gone", "nowhere:x", "broken:x", "bad"]

[pools.small]
kind = "local"

[tools.inside]
"""
_MODULE: Final = """
import nothing_of_this_name
from aiosv3.agents import Context, agent as durable

@durable
async def letters(ctx: Context, word: str) -> str:
    return word

@durable(name="second-desk", budget="1")
async def other(ctx: Context, word: str) -> str:
    return word
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "desks").mkdir()
    (tmp_path / "desks" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "desks" / "letters.py").write_text(_MODULE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def (", encoding="utf-8")
    (tmp_path / "aiosv3.toml").write_text(_PROJECT, encoding="utf-8")
    return tmp_path


def context(project: Path | None) -> Any:
    return SimpleNamespace(params={"project": project})


def test_agents_are_named_as_their_decorators_say_without_an_import(project: Path) -> None:
    assert agent_names(context(project), "") == ["letters", "second-desk"]
    assert agent_names(context(project), "sec") == ["second-desk"]
    assert "desks.letters" not in sys.modules


def test_pools_and_zones(project: Path) -> None:
    assert pool_names(context(project), "") == ["small"]
    assert zone_names(context(project), "i") == ["inside"]
    assert zone_names(context(project), "x") == []


def test_without_a_project_that_can_be_read_there_is_nothing(tmp_path: Path) -> None:
    assert agent_names(context(tmp_path / "nowhere.toml"), "") == []
    (tmp_path / "aiosv3.toml").write_text("[", encoding="utf-8")
    assert pool_names(context(tmp_path), "") == []


def shell(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("aiosv3 worker agent ", "letters\nsecond-desk\n"),
        ("aiosv3 schemas ", "check\npush\n"),
    ],
)
def test_the_command_completes(project: Path, typed: str, offered: str) -> None:
    count = str(typed.count(" "))
    assert shell(project, _AIOSV3_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=count) == offered


def test_completion_can_be_installed(tmp_path: Path) -> None:
    said = shell(tmp_path, "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "installed" in said
    script = (tmp_path / ".bash_completions" / "aiosv3.sh").read_text(encoding="utf-8")
    assert "_AIOSV3_COMPLETE=complete_bash" in script
