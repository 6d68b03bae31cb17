"""Ids of steps. In whole tasks: tests/agents/test_task.py."""

from __future__ import annotations

import pytest

from aiosv3.agents.stepids import StepIds


def test_numbers_in_order_and_names_that_move_none() -> None:
    ids = StepIds()
    assert [ids.next(name) for name in (None, "a", None)] == ["1", "=a", "2"]
    ids.reserve("grace")
    assert ("grace" in ids, "3" in ids, len(ids)) == (True, False, 4)


@pytest.mark.parametrize("name", ["a", "b~c"])
def test_a_name_that_cannot_pin_takes_no_number(name: str) -> None:
    ids = StepIds()
    ids.next("a")
    with pytest.raises(ValueError, match="named"):
        ids.next(name)
    assert ids.next(None) == "1"
