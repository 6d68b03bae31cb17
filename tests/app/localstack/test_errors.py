from __future__ import annotations

from pathlib import Path

from aiosv3.app.localstack.errors import NotReady, tail


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == "(no log was written)"
    log.write_text("")
    assert tail(log) == "(the log is empty)"
    log.write_text("\n".join(str(number) for number in range(10_000)))
    assert tail(log, 2) == "9998\n9999"
    assert len(tail(log, 10_000)) < 17_000


def test_not_ready_shows_the_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("disk full")
    error = NotReady("Kafka", "ended while it started", tmp_path / "log")
    assert str(error).startswith("Kafka ended while it started")
    assert str(error).endswith("disk full")
