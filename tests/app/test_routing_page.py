"""The page about routing: its decision comes out as it is printed there, and its table of expectations holds."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")


def block(kind: str, after: str) -> str:
    """The first block of code of a kind behind some words."""
    found = re.search(rf"{re.escape(after)}.*?```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's own files."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("COLUMNS", "140")
    (tmp_path / "routing.yaml").write_text(block("yaml", "## A policy"), encoding="utf-8")
    (tmp_path / "aiosv3.toml").write_text(block("toml", "## A policy"), encoding="utf-8")
    (tmp_path / "expected.yaml").write_text(block("yaml", "## Before you push"), encoding="utf-8")
    return tmp_path


def test_the_decision_comes_out_as_it_is_explained_there(project: Path, aiosv3: Any) -> None:
    command, *printed = block("console", "## One decision, step by step").splitlines()
    words = shlex.split(command.removeprefix("$ aiosv3 "))
    said = aiosv3(*words, "-p", str(project))
    assert said.code == 0, said.err
    assert [line.rstrip() for line in said.out.splitlines()] == printed


def test_what_each_step_says_is_so(project: Path, aiosv3: Any) -> None:
    asked = ("route", "explain", "--agent", "triage", "--tenant", "acme", "--json", "-p", str(project))
    (told,) = json.loads(aiosv3(*asked).out)
    assert told["demand"] == {"regions": [["eu"]], "terms": ["no_training"]}
    assert told["rules"] == ["triage is cheap"]
    public = json.loads(
        aiosv3("route", "explain", "--class", "public", "-r", "workflow=desk", "--json", "-p", str(project)).out
    )
    assert public[0]["rules"][0].startswith("try the next model"), "the other rule is for public and internal data"


def test_its_table_of_expectations_holds(project: Path, aiosv3: Any) -> None:
    said = aiosv3("route", "test", str(project / "expected.yaml"), "-p", str(project))
    assert said.code == 0, said.out + said.err


def test_an_assumed_price_is_said(project: Path, aiosv3: Any) -> None:
    toml = (project / "aiosv3.toml").read_text(encoding="utf-8")
    unknown = re.sub(r"(in|out)put_usd_per_mtok.*\n", "", toml).replace("gpt-4o-mini", "nobodys")
    (project / "aiosv3.toml").write_text(unknown, encoding="utf-8")
    asked = ("route", "explain", "--class", "public", "-p", str(project))
    (told,) = json.loads(aiosv3(*asked, "--json").out)
    cloud = next(one for one in told["candidates"] if one["pool"] == "cloud")
    assert cloud["reason"] == "eligible, at an assumed price: nobody knows its own"
    assert cloud["cost_usd_micros"] > 10_000, "dear, not free"
    assert told["pool"] != "cloud"
    assert "at an assumed price" in " ".join(aiosv3(*asked).out.split())
    broke = json.loads(aiosv3(*asked, "-r", "max_usd=0.001", "--json").out)[0]
    assert "by an assumed price, the limit is" in json.dumps(broke["candidates"])
