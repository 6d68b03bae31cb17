"""``aiosv3 demo``: its options reach the driver, its exit code is the driver's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from aiosv3.app.demo import driver
from aiosv3.app.demo.command import demo


@pytest.mark.parametrize("code", [0, 1])
def test_options_and_exit_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    seen: list[Any] = []

    def run_demo(options: driver.DemoOptions, *, as_json: bool) -> int:
        seen.append((options, as_json))
        return code

    monkeypatch.setattr(driver, "run_demo", run_demo)
    app = typer.Typer()
    app.command()(demo)
    arguments = ["--limit", "5", "--seed", "7", "--keep", "--json", "--folder", "here", "--csv", "out.csv"]
    arguments += ["--no-twin", "--svg", "run.svg"]
    assert CliRunner().invoke(app, arguments).exit_code == code
    wanted = driver.DemoOptions(Path("here"), Path("out.csv"), 7, 5, True, 600.0, False, Path("run.svg"))
    assert seen == [(wanted, True)]


def test_the_twin_runs_unless_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[driver.DemoOptions] = []

    def run_demo(options: driver.DemoOptions, *, as_json: bool) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(driver, "run_demo", run_demo)
    app = typer.Typer()
    app.command()(demo)
    CliRunner().invoke(app, [])
    assert (seen[0].twin, seen[0].svg, seen[0].limit) == (True, None, None)
