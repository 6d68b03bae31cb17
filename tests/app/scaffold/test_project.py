"""A generated project is right as it is: its test, the check, both checkers of code; and it takes no bad name."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from aiosv3.app.scaffold import BadProject, Named, named, write_project
from aiosv3.app.settings import load_settings

LONGEST: Final = "n" * 30
FILES: Final = {"aiosv3.toml", "desk.py", "tests/test_desk.py", "pyproject.toml", "README.md", ".gitignore"}


@pytest.mark.parametrize(
    ("text", "project", "module"),
    [
        ("desk", "desk", "desk"),
        ("Support Desk", "support-desk", "support_desk"),
        ("my_agents", "my-agents", "my_agents"),
        ("--a..b--", "a-b", "a_b"),
        ("triage2", "triage2", "triage2"),
        (LONGEST, LONGEST, LONGEST),
    ],
)
def test_names_follow_from_the_folder(text: str, project: str, module: str) -> None:
    assert named(text) == Named(project, module)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "makes no name"),
        ("...", "makes no name"),
        ("2fast", "makes no name"),
        ("日本", "makes no name"),
        ("class", "is a word of Python"),
        ("match", "is a word of Python"),
        ("json", "would hide"),
        ("httpx", "would hide"),
        ("aiosv3", "would hide"),
        ("tests", "would hide"),
        ("ticket", "is used inside"),
        ("agent", "is used inside"),
        ("timedelta", "is used inside"),
        ("mesh", "is used inside"),
        ("router", "no agent can be named 'router'"),
        (LONGEST + "n", "longer than 30"),
    ],
)
def test_a_name_that_would_not_work_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadProject, match=words) as refused:
        named(text)
    assert "--name" in str(refused.value)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadProject, match=r"is not empty \(notes\.txt\)"):
        write_project(tmp_path, Named("desk", "desk"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(BadProject, match="is a file"):
        write_project(tmp_path / "notes.txt", Named("desk", "desk"))


def test_a_folder_that_holds_a_repository_only_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    written = write_project(tmp_path, Named("desk", "desk"))
    assert {path.relative_to(tmp_path).as_posix() for path in written} == FILES
    assert not any("$" in path.read_text(encoding="utf-8") for path in written if path.suffix != ".md")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated project with the longest name, which its lines must hold."""
    folder = tmp_path_factory.mktemp("new") / "project"
    write_project(folder, named(LONGEST))
    return folder


def run(folder: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_pass(project: Path) -> None:
    assert "3 passed" in run(project, "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning")


def test_it_passes_the_check(project: Path) -> None:
    assert run(project, "aiosv3.app", "check", "--strict").endswith(" 2 files: 0 errors, 0 warnings\n")


@pytest.mark.parametrize("name", ["a", LONGEST])
def test_it_passes_ruff(tmp_path: Path, name: str) -> None:
    write_project(tmp_path, named(name))
    run(tmp_path, "ruff", "check", "--no-cache", ".")
    run(tmp_path, "ruff", "format", "--no-cache", "--check", ".")


def test_it_passes_mypy(project: Path) -> None:
    run(project, "mypy", "--strict", "--cache-dir", os.devnull, ".")


def test_its_package_holds_its_module(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    (module,) = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert (project / module).is_file()


def test_each_group_that_is_commented_out_can_be_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AIOSV3_")]:
        monkeypatch.delenv(name)
    write_project(tmp_path, Named("desk", "desk"))
    file = tmp_path / "aiosv3.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("# ["))
    taken_in = [line.removeprefix("# ") if number >= first else line for number, line in enumerate(lines)]
    file.write_text("\n".join(taken_in), encoding="utf-8")
    settings = load_settings(file)
    assert set(settings.pools) == {"toy", "gpu", "cloud"}
    assert settings.kafka.bootstrap
    assert settings.registry.url
    assert settings.people["ana"].roles == ["finance"]
