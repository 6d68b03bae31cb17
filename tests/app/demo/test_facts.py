"""Counting: each promise is broken here once, and seen."""

from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.demo.facts import Bill, Records, Route, bill, guarantees, latencies, percentile, routes
from aiosv3.schemas.records import Outcome


def test_a_clean_run(runs: Any) -> None:
    records = Records(
        [runs.task("a"), runs.task("b")],
        [runs.result("a"), runs.result("b", offset=1)],
        [runs.decision("b")],
        [runs.completion("b")],
    )
    found = guarantees(records)
    assert found.kept
    assert (found.result_copies, found.answer_copies) == (0, 0)


def test_a_task_without_a_result_is_lost(runs: Any) -> None:
    found = guarantees(Records([runs.task("a"), runs.task("b")], [runs.result("a")], [], []))
    assert found.lost == ("r.b",)
    assert not found.kept


def test_an_acknowledged_task_whose_record_is_gone_is_lost(runs: Any) -> None:
    found = guarantees(Records([runs.task("a")], [runs.result("a")], [], [], sent=["r.a", "r.gone"]))
    assert found.lost == ("r.gone",)


def test_an_equal_copy_is_raw_and_not_done_twice(runs: Any) -> None:
    found = guarantees(Records([runs.task("a")], [runs.result("a"), runs.result("a", offset=3)], [], []))
    assert found.kept
    assert found.result_copies == 1


@pytest.mark.parametrize("second", [{"licence": "ISC"}, {"failed": True}, {"partition": 1}])
def test_results_that_differ_are_done_twice(runs: Any, second: dict[str, object]) -> None:
    found = guarantees(Records([runs.task("a")], [runs.result("a"), runs.result("a", offset=1, **second)], [], []))
    assert found.done_twice == ("r.a",)
    assert not found.kept


def test_a_call_that_began_after_the_answer_was_made_again(runs: Any) -> None:
    calls = [runs.completion("a", at=2_000), runs.completion("a", at=3_000, took=900)]
    found = guarantees(Records([runs.task("a")], [runs.result("a")], [], calls))
    assert found.called_again == ("r.a/1",)
    assert not found.kept


def test_a_second_attempt_at_an_answered_request_counts_too(runs: Any) -> None:
    calls = [runs.completion("a", at=2_000), runs.completion("a", step="1~2", at=3_000, took=10)]
    assert guarantees(Records([], [], [], calls)).called_again == ("r.a/1~2",)


def test_calls_that_overlapped_are_copies(runs: Any) -> None:
    """Two workers held the partition at once: both were paid, neither could have known."""
    calls = [runs.completion("a", at=2_000), runs.completion("a", at=2_500, took=600)]
    found = guarantees(Records([], [], [], calls))
    assert found.kept
    assert found.answer_copies == 1


def test_a_refused_call_may_be_made_again(runs: Any) -> None:
    calls = [runs.completion("a", outcome=Outcome.REFUSED), runs.completion("a", step="1~2", at=9_000)]
    found = guarantees(Records([], [], [], calls))
    assert found.kept
    assert found.answer_copies == 0


def test_routes_by_pool_class_and_reason(runs: Any) -> None:
    records = Records(
        [runs.task("a"), runs.task("b"), runs.task("c", clearance="confidential")],
        [],
        [
            runs.decision("a", offset=0),
            runs.decision("b", offset=1),
            runs.decision("b", pool=None, offset=2),
            runs.decision("c", pool=None, offset=3),
        ],
        [],
    )
    assert routes(records) == [
        Route("local", "public", "best of 1 eligible; cloud: clearance: public", 2),
        Route(None, "confidential", "no eligible pool (cloud: public)", 1),
    ]


def test_the_bill_sums_raw_records(runs: Any) -> None:
    calls = [runs.completion("a"), runs.completion("a"), runs.completion("b", outcome=Outcome.FAILED)]
    assert bill(calls) == Bill(3, 30, 6, 9, ("SmolLM2-135M-Instruct",))
    assert bill([]).models == ()


def test_latency_is_from_the_first_task_record_to_the_visible_result(runs: Any) -> None:
    records = Records(
        [runs.task("a", at=1_000), runs.task("a", at=1_900), runs.task("b", at=1_000)],
        [
            runs.result("a", at=1_700, offset=0),
            runs.result("a", at=9_000, offset=5),
            runs.result("b", at=1_100, offset=1),
        ],
        [],
        [],
    )
    assert latencies(records) == [100, 700]


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (51, 3), (99, 4), (1, 1), (100, 4)])
def test_percentiles_are_values_that_were_seen(percent: float, value: int) -> None:
    assert percentile([1, 2, 3, 4], percent) == value


def test_no_values_no_percentile() -> None:
    assert percentile([], 50) is None
