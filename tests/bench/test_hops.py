"""How what a call adds becomes a multiple of three bare hops."""

from __future__ import annotations

import pytest
from hops import KINDS, Hops, hops_lines, row

CALL = {"added_p50_ms": 5.0, "added_p99_ms": 9.0}


def test_a_row_is_the_middle_of_its_rounds() -> None:
    found = row([[1.0, 2.0, 3.0], [2.0, 2.5, 6.0], [1.0, 1.0, 4.0]], CALL)
    assert found == {"p50_ms": 2.0, "p99_ms": 4.0, "p50_ratio": 2.5, "p99_ratio": 2.25}


def test_hops_are_measured_beside_single_calls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hops = Hops("nowhere:1")
    asked: list[tuple[object, ...]] = []

    def script(*arguments: object) -> str:
        asked.append(arguments)
        return "\n".join(["9.0"] * (int(str(arguments[3])) // 11) + ["1.0"] * int(str(arguments[3])))

    monkeypatch.setattr("hops.script", script)
    monkeypatch.setattr(Hops, "_topics", lambda _: "mine.")
    for callers in (16, 1):
        hops.measure(callers)
    assert [arguments[:3] for arguments in asked] == [("bare_hops.py", "nowhere:1", "mine.")] * len(KINDS)
    rows = hops.rows(CALL)
    assert [figures["p99_ms"] for figures in rows.values()] == [1.0, 1.0]  # what came first is not counted
    assert [line.partition(":")[0] for line in hops_lines(rows)] == [
        "three bare hops, back to back",
        "three bare hops, 50 ms apart",
    ]
