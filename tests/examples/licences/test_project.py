"""The example's project file is the packaged one, and its page names what exists."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from aiosv3.app.projects import load_agents
from aiosv3.app.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "licences"


def test_the_project_is_the_packaged_one() -> None:
    packaged = files("aiosv3.app.demo") / "project.toml"
    assert (EXAMPLE / "aiosv3.toml").read_text(encoding="utf-8") == packaged.read_text(encoding="utf-8")


def test_the_project_loads_with_its_agent() -> None:
    settings = load_settings(EXAMPLE / "aiosv3.toml")
    assert list(load_agents(settings)) == ["licences"]
    assert settings.up.agents == 2
    assert settings.pools == {}


def test_the_page_names_files_that_exist() -> None:
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.py)`", page))
    assert named
    package = ROOT / "app" / "aiosv3" / "app" / "demo"
    assert [name for name in named if not (package / name).exists()] == []
