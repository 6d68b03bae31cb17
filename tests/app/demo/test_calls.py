"""The model's log, read back and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiosv3.app.demo.calls import ModelCall, Tally, read_calls, tally


def write(path: Path, *entries: dict[str, Any] | str) -> Path:
    lines = (entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def began(call: str, caller: str = "naive", question: str = "q") -> dict[str, Any]:
    return {"call": call, "event": "began", "at": 1, "caller": caller, "pool": "p", "question": question}


def ended(call: str, how: str = "answered", **used: int) -> dict[str, Any]:
    return {"call": call, "event": how, "at": 2, **used}


def test_calls_as_they_began_and_ended(tmp_path: Path) -> None:
    log = write(tmp_path / "log", began("1"), began("2", "ours", "r"), ended("2", input_tokens=7, output_tokens=3))
    assert read_calls(log) == [ModelCall("naive", "q", 1), ModelCall("ours", "r", 1, "answered", 7, 3)]


def test_no_log_yet(tmp_path: Path) -> None:
    assert read_calls(tmp_path / "none") == []


def test_a_line_that_is_still_being_written(tmp_path: Path) -> None:
    assert len(read_calls(write(tmp_path / "log", began("1"), '{"call": "2", "eve'))) == 1


def test_an_answer_to_a_question_that_was_answered_is_paid_again() -> None:
    calls = [ModelCall("naive", "q", 1, "answered", 10, 2)] * 3 + [ModelCall("naive", "r", 1, "answered", 10, 2)]
    assert tally(calls, "naive") == Tally(calls=4, answered=4, paid_again=2, input_tokens=40, output_tokens=8)


def test_a_call_that_was_cut_off_may_be_made_again() -> None:
    calls = [ModelCall("ours", "q", 1, "cut"), ModelCall("ours", "q", 2, "answered", 10, 2)]
    found = tally(calls, "ours")
    assert (found.calls, found.paid_again, found.cut) == (2, 0, 1)


def test_each_side_has_its_own_calls() -> None:
    calls = [ModelCall("ours", "q", 1, "answered"), ModelCall("naive", "q", 1, "answered"), ModelCall("naive", "r", 1)]
    assert (tally(calls, "ours").paid_again, tally(calls, "naive").paid_again) == (0, 0)
    assert (tally(calls, "ours").open, tally(calls, "naive").open) == (0, 1)


def test_what_an_endpoint_that_died_had_in_hand_is_cut(tmp_path: Path) -> None:
    log = write(tmp_path / "log", began("1"), began("2"), ended("2"), {"call": "", "event": "started"}, began("3"))
    assert [call.end for call in read_calls(log)] == ["cut", "answered", None]
