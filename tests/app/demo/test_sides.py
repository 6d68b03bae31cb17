"""Both sides by one count: what is lost and done twice is broken here once, and seen."""

from __future__ import annotations

from aiosv3.app.demo.calls import ModelCall
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.sides import ResultRecord, count_side

BEGAN = {"r.a": 1_000, "r.b": 1_000, "r.c": 2_000}


def test_a_clean_side() -> None:
    results = [ResultRecord("r.a", 1_100), ResultRecord("r.b", 1_300), ResultRecord("r.c", 2_200)]
    calls = [ModelCall("ours", "q", 1, "answered"), ModelCall("naive", "q", 1, "answered")]
    side = count_side("ours", BEGAN, results, calls, [Kill("router", 1, "router-1", 7, 2)])
    assert (side.tasks, side.lost, side.done_twice, side.calls.calls) == (3, (), (), 1)
    assert (side.p50_ms, side.p99_ms, len(side.kills)) == (200, 300, 1)


def test_a_task_without_a_record_is_lost() -> None:
    side = count_side("naive", BEGAN, [ResultRecord("r.a", 1_100)], [], [])
    assert side.lost == ("r.b", "r.c")


def test_a_second_record_is_done_twice_and_the_first_one_counts() -> None:
    results = [ResultRecord("r.a", 1_900), ResultRecord("r.a", 1_100), ResultRecord("r.b", 1_200)]
    side = count_side("naive", BEGAN, results, [], [])
    assert side.done_twice == ("r.a",)
    assert (side.p50_ms, side.p99_ms) == (100, 200)


def test_results_of_other_runs_are_nobodys() -> None:
    side = count_side("naive", BEGAN, [ResultRecord("s.a", 1), ResultRecord("s.a", 1)], [], [])
    assert (side.done_twice, len(side.lost), side.p50_ms) == ((), 3, None)


def test_an_acknowledged_task_whose_record_is_gone_is_lost_and_has_no_latency() -> None:
    side = count_side("ours", {"r.gone": 0, "r.a": 1_000}, [ResultRecord("r.a", 1_010)], [], [])
    assert (side.lost, side.p50_ms) == (("r.gone",), 10)
    assert count_side("ours", {"r.gone": 0}, [ResultRecord("r.gone", 5)], [], []).p50_ms is None
