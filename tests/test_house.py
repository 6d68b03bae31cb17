"""What the repository promises outside its code: verbs, CI, licence, changelog, decisions, clean files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
VERBS: Final = (
    "help",
    "setup",
    "demo",
    "test",
    "check",
    "bench",
    "soak",
    "compare",
    "docs",
    "up",
    "down",
    "simulate",
    "mutants",
    "chaos",
)
EXTRAS: Final = ("local", "vllm", "weaviate", "redis", "faust", "presidio", "otel", "mcp", "dev")

# Joined here, so that this file does not hold them either.
REGISTRY_HOSTS: Final = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("repo1", "maven"),
        ("repo", "maven", "apache"),
        ("crates", "io"),
        ("proxy", "golang"),
        ("deb", "debian"),
    )
)
MACHINE_PATH: Final = re.compile(r"(?<![\w.~/-])/(?:home|root|Users|work)/\w")
SESSION_TALK: Final = re.compile(r"\b(?:issue|ticket) #?\d+\b", re.IGNORECASE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Each text file that git tracks or would track, by name."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, f"the house is checked in a git checkout: {listed.stderr}"
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content:
            texts[name] = content.decode("utf-8")
    assert "pyproject.toml" in texts
    return texts


def places(files: dict[str, str], pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` of every match."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry(files: dict[str, str]) -> None:
    """Ordinary clients know where their registry is; a mirror must work without an edit."""
    assert places(files, re.compile("|".join(map(re.escape, REGISTRY_HOSTS)))) == []


def test_no_file_names_a_place_on_somebodys_machine(files: dict[str, str]) -> None:
    assert places(files, MACHINE_PATH) == []


def test_no_file_talks_of_the_work_that_made_it(files: dict[str, str]) -> None:
    assert places(files, SESSION_TALK) == []


def test_the_patterns_find_what_they_are_for() -> None:
    """A pattern that matches nothing passes every file."""
    folder = "home"
    assert MACHINE_PATH.search(f'cache = "/{folder}/ada/cache"')
    assert not MACHINE_PATH.search("https://example.com/home/page")
    number = 12
    assert SESSION_TALK.search(f"see issue {number}")


def test_make_has_the_verbs_and_help_prints_each() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    described = re.findall(r"^  ([a-z]+) +\S", printed, re.MULTILINE)
    assert described == list(VERBS)


def test_pages_name_only_verbs_that_exist(files: dict[str, str]) -> None:
    """What a reader types must work: every `make VERB` in a code span or console line."""
    typed = re.compile(r"(?:`|^\$ )make (?:[A-Z]+=\S+ )*([a-z]+)", re.MULTILINE)
    unknown = {
        f"{name}: make {verb}"
        for name, text in files.items()
        if name.endswith(".md")
        for verb in typed.findall(text)
        if verb not in VERBS
    }
    assert unknown == set()


def test_ci_runs_what_the_pages_tell_people_to_run() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111, ".ci/run is not executable"
    assert "\nset -euo pipefail\n" in text
    for verb in ("test", "check"):
        assert re.search(rf"^(if ! )?step make {verb}\b", text, re.MULTILINE), f".ci/run does not run make {verb}"


def test_tests_of_one_group_share_a_process(tmp_path: Path) -> None:
    """What they share is started once: a broker, a stack, topics under one name."""
    (tmp_path / "test_group.py").write_text(
        "import os, pytest\n"
        "pytestmark = pytest.mark.xdist_group('shared')\n"
        "@pytest.mark.parametrize('number', range(6))\n"
        "def test_one(number): open('workers', 'a').write(os.environ['PYTEST_XDIST_WORKER'] + chr(10))\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n", "3", "--dist", "loadgroup", "-p", "no:cacheprovider", "."]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = (tmp_path / "workers").read_text(encoding="utf-8").split()
    assert (len(workers), len(set(workers))) == (6, 1)


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = text_of("LICENSE")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    for number in range(1, 10):
        assert re.search(rf"^ +{number}\. [A-Z]", text, re.MULTILINE), f"section {number} is missing"
    assert "END OF TERMS AND CONDITIONS" in text
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["license"] == "Apache-2.0"


def test_extras() -> None:
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    assert [name for name in EXTRAS if name not in extras] == []


def test_the_changelog_keeps_its_form() -> None:
    """Keep a Changelog: Unreleased first, then versions, newest first; known kinds of change, none of them empty."""
    text = text_of("CHANGELOG.md")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", section) for section in sections[1:]]
    assert all(released), f"a version is written [1.2.3] - 2026-01-31: {sections[1:]}"
    numbers = [tuple(map(int, match.groups())) for match in released if match]
    assert numbers == sorted(numbers, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not re.search(r"^### .+\n+(?:#|\Z)", text, re.MULTILINE), "a heading has nothing under it"


DECISIONS: Final = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_tagged_and_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.search(r"^\*\*(Platform|Project) decision\*\*\. Accepted \d{4}-\d\d-\d\d\.", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Cost"]
    assert len(text.split()) <= 500, "one short page"


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    listed = re.findall(r"^(\d{4}-[\w-]+)$", text_of("docs/adr/index.md"), re.MULTILINE)
    assert listed == [page.stem for page in DECISIONS]
