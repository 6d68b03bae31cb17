"""Order of the tasks of a key (protocol rule 24)."""

from __future__ import annotations

import pytest

from aiosv3.agents.agent import Order
from aiosv3.agents.worker.lanes import Lanes


def test_a_serial_lane_lets_one_task_run_at_a_time() -> None:
    """Rule 24."""
    lanes = Lanes(Order.SERIAL)
    assert [lanes.enter(*task) for task in (("x", "t1"), ("x", "t2"), ("y", "t3"))] == [True, False, True]
    assert lanes.leave("x", "t1") == "t2"
    assert lanes.leave("x", "t2") is None
    assert lanes.keys() == {"y"}


def test_a_task_that_leaves_before_its_turn_lets_nobody_begin() -> None:
    """What cannot be read is answered out of turn (rule 24: the head goes on)."""
    lanes = Lanes(Order.SERIAL)
    for task_id in ("t1", "t2", "t3"):
        lanes.enter("x", task_id)
    assert lanes.leave("x", "t2") is None
    assert lanes.leave("x", "t1") == "t3"


def test_a_task_that_never_entered_a_lane_moves_nothing() -> None:
    lanes = Lanes(Order.SERIAL)
    lanes.enter("x", "t1")
    assert lanes.leave("x", "other") is None
    assert lanes.leave("unknown", "other") is None
    assert lanes.keys() == {"x"}


def test_tasks_without_a_key_wait_for_nobody() -> None:
    lanes = Lanes(Order.SERIAL)
    assert [lanes.enter(None, f"t{number}") for number in range(3)] == [True, True, True]
    assert lanes.leave(None, "t1") is None
    assert lanes.keys() == set()


@pytest.mark.parametrize("order", [Order.START, Order.NONE])
def test_other_orders_have_no_lanes(order: Order) -> None:
    lanes = Lanes(order)
    assert [lanes.enter("x", f"t{number}") for number in range(3)] == [True, True, True]
    assert lanes.keys() == set()
