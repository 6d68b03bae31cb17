from __future__ import annotations

import pytest
from rich.table import Table

from aiosv3.app.commands.console import console


def test_a_pipe_gets_tables_as_wide_as_they_need_and_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a", style="red")
    table.add_row("x" * 300)
    console().print(table)
    said = capsys.readouterr().out
    assert "x" * 300 in said
    assert "\x1b" not in said


def test_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "77")
    assert (console().is_terminal, console().width) == (True, 77)
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
