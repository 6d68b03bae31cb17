"""The pytest plugin in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import pytest

PLUGIN: Final = "aiosv3.app.pytest_plugin"
TESTS: Final = """
import pytest
from aiosv3.agents import Context, agent


@agent
async def greeter(ctx: Context, name: str) -> str:
    return await ctx.generate(f"greet {name}")


def crash_of(mesh):
    mesh.model("hello")
    assert mesh.run(greeter, "ada") == "hello"
    return mesh.crash


def test_plain(mesh_test):
    print("plain", crash_of(mesh_test(greeter)))


@pytest.mark.crash_everywhere
def test_marked(mesh_test):
    print("marked", crash_of(mesh_test(greeter)))
    print("own", crash_of(mesh_test(greeter, crash=2)))
"""


def run(folder: Path, *arguments: str) -> str:
    (folder / "test_it.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "--strict-markers", "-p", PLUGIN, *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_marker_asks_for_crashes(tmp_path: Path) -> None:
    said = run(tmp_path)
    assert "plain None" in said
    assert "marked everywhere" in said
    assert "own 2" in said


def test_the_option_asks_for_crashes_everywhere(tmp_path: Path) -> None:
    assert "plain everywhere" in run(tmp_path, "--crash-everywhere")


def test_pytest_loads_it_by_itself(pytestconfig: pytest.Config) -> None:
    (found,) = entry_points(group="pytest11", name="aiosv3")
    assert found.value == PLUGIN
    assert pytestconfig.pluginmanager.has_plugin("aiosv3")


def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    """pytest imports it at each start: nothing of ours but the module itself may come with it, and nothing heavy."""
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    ours = sorted(name for name in sys.modules if name.partition('.')[0] == 'aiosv3')\n"
        f"    assert ours == ['aiosv3', 'aiosv3.app', {PLUGIN!r}]\n"
        "    assert 'pydantic' not in sys.modules\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
