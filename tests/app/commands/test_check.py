"""``aiosv3 check`` on whole projects: exit codes, JSON, and this repository's own agents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from aiosv3.app.commands.check import Report
from aiosv3.app.determinism import Finding, check_file, python_files

ROOT: Final = Path(__file__).resolve().parents[3]
_GOOD: Final = """
from aiosv3.agents import Context, agent


@agent
async def {name}(ctx: Context, word: str) -> str:
    return await ctx.generate(word)
"""
_CLOCK: Final = _GOOD.replace("generate(word)", "generate(f'{{word}} {{time.time()}}')").replace(
    "from", "import time\nfrom", 1
)
_SET: Final = _GOOD.replace("generate(word)", "generate(', '.join(set(word)))")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Writes a project with a module of its own name (modules stay imported) and goes there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    name = f"checked_{abs(hash(request.node.name)):x}"

    def write(source: str, settings: str = "") -> str:
        (tmp_path / f"{name}.py").write_text(source.format(name="triage"), encoding="utf-8")
        (tmp_path / "aiosv3.toml").write_text(f'agents = ["{name}:triage"]\n{settings}', encoding="utf-8")
        return f"{name}.py"

    return write


def test_a_clean_project_ends_with_0(project: Any, aiosv3: Any) -> None:
    project(_GOOD)
    said = aiosv3("check")
    assert (said.code, said.out) == (0, "agents triage; 1 file: 0 errors, 0 warnings\n")
    assert json.loads(aiosv3("check", "--json").out) == {
        "ok": True,
        "files": 1,
        "agents": ["triage"],
        "errors": 0,
        "warnings": 0,
        "findings": [],
        "problems": [],
    }


def test_a_finding_ends_with_1_and_names_its_place(project: Any, aiosv3: Any) -> None:
    file = project(_CLOCK)
    said = aiosv3("check")
    assert said.code == 1
    assert said.out.startswith(f"{file}:8:41: error[clock] time.time() reads a clock of the worker")
    assert said.out.endswith("1 error, 0 warnings\n")
    found = json.loads(aiosv3("check", "--json").out)
    assert (found["ok"], found["errors"]) == (False, 1)
    assert [(one["file"], one["line"], one["rule"]) for one in found["findings"]] == [(file, 8, "clock")]


def test_warnings_end_with_0_unless_strict(project: Any, aiosv3: Any) -> None:
    project(_SET)
    assert aiosv3("check").code == 0
    assert "warning[set-order]" in aiosv3("check", "--strict").out
    assert aiosv3("check", "--strict").code == 1


@pytest.mark.parametrize(
    ("settings", "source", "words"),
    [
        ("colour = 1", _GOOD, "colour"),
        ("", "import nowhere_at_all\n", "cannot be imported: No module named 'nowhere_at_all'"),
        ("", _GOOD.replace("word: str", "word: complex"), "triage"),
        ("[agent.other]\nbudget = 1", _GOOD, "other"),
    ],
)
def test_a_project_that_cannot_be_started_ends_with_2(
    project: Any, aiosv3: Any, settings: str, source: str, words: str
) -> None:
    project(source, settings)
    said = aiosv3("check")
    assert said.code == 2, said
    assert said.out.startswith("aiosv3.toml: ")
    assert words in said.out
    found = json.loads(aiosv3("check", "--json").out)
    assert (found["ok"], len(found["problems"])) == (False, 1)


def test_the_code_is_checked_though_the_project_cannot_be_started(project: Any, aiosv3: Any) -> None:
    project(_CLOCK, "colour = 1")
    said = aiosv3("check")
    assert said.code == 2
    assert "error[clock]" in said.out


def test_paths_are_only_read(project: Any, aiosv3: Any) -> None:
    file = project("import nowhere_at_all\n" + _CLOCK)
    said = aiosv3("check", file)
    assert (said.code, "problems" in said.out) == (1, False)
    nothing = aiosv3("check", "nowhere.py")
    assert (nothing.code, nothing.err) == (2, "there is no file or folder nowhere.py")


def test_without_a_project_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, aiosv3: Any) -> None:
    monkeypatch.setattr("aiosv3.app.commands.check.project_file", lambda _path: None)
    said = aiosv3("check")
    assert said.code == 2
    assert "there is no aiosv3.toml here or above: name the files or folders to check" in said.err


def test_an_agent_that_is_installed_elsewhere_is_read_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aiosv3: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aiosv3.toml").write_text('agents = ["aiosv3.app.demo.licences:licences"]\n', encoding="utf-8")
    said = aiosv3("check")
    assert (said.code, said.out) == (0, "agents licences; 1 file: 0 errors, 0 warnings\n")


def test_problems_come_before_findings() -> None:
    clock, order = Finding("a.py", 1, 1, "clock", "m"), Finding("a.py", 1, 1, "set-order", "m")
    assert Report(problems=["p"], findings=[clock]).code(strict=False) == 2
    assert Report(findings=[clock]).code(strict=False) == 1
    assert Report(findings=[order]).code(strict=False) == 0


@pytest.mark.parametrize("folder", ["examples", "docs/compare/aiosv3", "app/aiosv3/app/demo", "tests/process"])
def test_agents_of_this_repository_pass(folder: str) -> None:
    """They are right, so whatever is found in them is a false alarm."""
    files = python_files([ROOT / folder])
    assert files
    assert [found.text() for file in files for found in check_file(file, file.name)] == []
