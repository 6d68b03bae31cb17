"""The table of parked tasks, and what they hold back (protocol rules 9 and 10)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents.worker.parked import Lows, Parked, ParkedTasks


def parked(name: str, offset: int, upto: int, own_upto: int) -> Parked:
    return Parked(name, offset, "k", upto, own_upto, carried=0, mark=0, size=100)


def test_rules_09_and_10_the_lowest_of_the_parked_tasks_hold() -> None:
    table = ParkedTasks()
    assert (table.journal_floor(50), table.own_floor(60)) == (50, 60)
    table.add(parked("a", 3, upto=20, own_upto=9))
    table.add(parked("b", 1, upto=30, own_upto=5))
    assert (table.journal_floor(50), table.own_floor(60)) == (20, 5)
    assert (table.journal_floor(10), table.own_floor(1)) == (10, 1)
    table.remove(3)
    assert (table.journal_floor(50), table.own_floor(60)) == (30, 5)
    assert [one.task_id for one in table] == ["b"]


def test_a_newer_carry_moves_what_is_held() -> None:
    table = ParkedTasks()
    first, second = parked("a", 3, upto=20, own_upto=9), parked("b", 1, upto=30, own_upto=5)
    table.add(first)
    table.add(second)
    assert (table.journal_floor(50), table.size) == (20, 200)
    table.carried(first, Lows(45, 40, 7, 8), 150)
    assert (table.journal_floor(50), table.own_floor(60), table.size) == (30, 5, 250)
    assert (first.upto, first.own_upto, first.mark, first.carried, first.size) == (45, 40, 7, 8, 150)
    table.remove(1)
    assert (table.lows(), table.size) == (Lows(45, 40, 7, 8), 150)
    table.remove(3)
    assert (table.lows(), table.size) == (None, 0)


def test_only_its_own_input_ends_a_parked_task() -> None:
    """A duplicate event of the same task has another offset."""
    table = ParkedTasks()
    table.add(parked("a", 3, 20, 9))
    table.remove(4)
    assert table.get("a") is not None
    table.remove(3)
    assert table.get("a") is None
    assert len(table) == 0


_STEP = st.tuples(st.sampled_from(["add", "carried", "remove", "ask"]), st.integers(0, 4), *[st.integers(0, 6)] * 4)


@given(st.lists(_STEP, max_size=40))
def test_the_lows_are_kept_without_looking_at_all_tasks_each_time(
    acts: list[tuple[str, int, int, int, int, int]],
) -> None:
    table, there = ParkedTasks(), dict[int, Lows]()
    for act, number, *fields in acts:
        found, lows = table.get(str(number)), Lows(*fields)
        if act == "add" and found is None:
            one = parked(str(number), number, lows.upto, lows.own_upto)
            one.mark, one.carried = lows.mark, lows.carried
            table.add(one)
            there[number] = lows
        elif act == "carried" and found is not None:
            table.carried(found, lows, 100)
            there[number] = lows
        elif act == "remove":
            table.remove(number)
            there.pop(number, None)
        elif act == "ask":
            assert table.lows() == (Lows(*map(min, zip(*there.values(), strict=True))) if there else None)
