from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiosv3.app.localstack.logs import last_line, older, size, trim


def test_a_log_that_has_grown_is_emptied_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        assert not trim(log, 4)
        writer.write(b"two\n")
        assert trim(log, 4)
        writer.write(b"three\n")
    assert (older(log).read_text(), log.read_text(), size(log)) == ("one\ntwo\n", "three\n", 6)


def test_a_full_disk_costs_the_older_lines_and_never_grows_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    older(log).write_text("old")
    log.write_text("new")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("aiosv3.app.localstack.logs.shutil.copyfile", full)
    assert trim(log, 2)
    assert (older(log).exists(), size(log)) == (False, 0)


def test_no_log_is_no_error(tmp_path: Path) -> None:
    assert not trim(tmp_path / "none")
    assert size(tmp_path / "none") == 0
    assert last_line(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("\n  \n", None),
        ("INFO x\naiosv3: there is no topic\n\n", "there is no topic"),
        ("Traceback:\n  File x\nValueError: no disk", "ValueError: no disk"),
        ("java.io.IOException: full\n\tat a.B(C.java:1)\n\t... 7 more\n", "java.io.IOException: full"),
        ("x" * 50_000, "x" * 300),
    ],
)
def test_the_last_words_are_a_line_that_says_something(tmp_path: Path, text: str, line: str | None) -> None:
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == line


def test_words_of_an_earlier_run_are_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of yesterday\n")
    assert last_line(tmp_path / "log", 13) is None
    assert last_line(tmp_path / "log", 99) == "of yesterday", "emptied since: what is there is newer"
