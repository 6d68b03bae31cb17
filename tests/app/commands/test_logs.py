"""``aiosv3 logs``: the end of the logs, and what comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.commands import logs
from aiosv3.app.commands.logs import Tail


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    folder = tmp_path / ".aiosv3" / "logs"
    folder.mkdir(parents=True)
    (folder / "kafka.log").write_text("".join(f"line {number}\n" for number in range(100)))
    (folder / "router-1.log").write_text("one\ntwo [b]\nthree, not finished")
    return tmp_path


def test_all_logs_are_told_apart_and_one_is_printed_as_it_is(project: Path, aiosv3: Any) -> None:
    said = aiosv3("logs", "-n", "2", "-p", str(project))
    assert said.out.splitlines() == [
        "kafka    | line 98",
        "kafka    | line 99",
        "router-1 | one",
        "router-1 | two [b]",
        "router-1 | three, not finished",
    ]
    said = aiosv3("logs", "router-1", "-p", str(project))
    assert said.out == "one\ntwo [b]\nthree, not finished\n"


def test_a_name_that_there_is_not_is_said_with_those_that_there_are(project: Path, aiosv3: Any) -> None:
    said = aiosv3("logs", "agent-x", "-p", str(project))
    assert (said.code, said.out) == (2, "")
    assert "there is no log of agent-x; there is kafka, router-1" in said.err


def test_no_logs_at_all_says_what_writes_them(tmp_path: Path, aiosv3: Any) -> None:
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    said = aiosv3("logs", "-p", str(tmp_path))
    assert said.code == 2
    assert "'aiosv3 up' starts what writes them" in said.err


def test_following_goes_on_until_ctrl_c(project: Path, aiosv3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = project / ".aiosv3" / "logs" / "kafka.log"
    came = iter(("half", " a line\nand a whole one\n"))

    def write_more(_seconds: float) -> None:
        try:
            more = next(came)
        except StopIteration:
            raise KeyboardInterrupt from None
        with log.open("a") as file:
            file.write(more)

    monkeypatch.setattr("aiosv3.app.commands.logs.time.sleep", write_more)
    said = aiosv3("logs", "kafka", "-f", "-n", "1", "-p", str(project))
    assert said.code == 130
    assert said.out == "line 99\nhalf a line\nand a whole one\n"


@pytest.mark.parametrize("count", [0, 1, 3, 70_000, 200_000])
def test_the_last_lines_are_found_however_long_the_file(tmp_path: Path, count: int) -> None:
    lines = [f"{number}" for number in range(150_000)]
    path = tmp_path / "log"
    path.write_text("\n".join(lines) + "\n")
    tail = Tail(path, "")
    assert tail.last(count) == (lines[-count:] if count else [])
    with path.open("a") as file:
        file.write("new\n")
    assert tail.more() == ["new"]
    assert tail.more() == []


def test_a_log_that_was_emptied_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a long line that was there\n")
    tail = Tail(path, "> ")
    assert tail.last(5) == ["> a long line that was there"]
    path.write_text("new\n")
    assert tail.more() == ["> new"]
    path.unlink()
    assert tail.more() == []
    assert Tail(path, "").last(5) == []


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LONGEST", 4)
    path = tmp_path / "log"
    path.write_text("abcdefgh")
    assert Tail(path, "").last(1) == ["abcdefgh"]
