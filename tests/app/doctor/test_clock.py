from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.doctor import Level, clock


@pytest.mark.parametrize(
    ("before", "broker", "after", "level", "words"),
    [
        (1_000, 1_005, 1_010, Level.OK, "within 10 ms of the broker's"),
        (1_000, 2_500, 1_010, Level.OK, "within 1490 ms"),
        (1_000, 6_010, 1_010, Level.WARNING, "this machine is 5.0 s behind the broker"),
        (90_000, 85_000, 90_010, Level.WARNING, "this machine is 5.0 s ahead of the broker"),
        (100_000, 1_000, 100_010, Level.FAILED, "99.0 s ahead of"),
    ],
)
def test_clocks_are_compared(before: int, broker: int, after: int, level: Level, words: str) -> None:
    found = clock.judged(before, broker, after)
    assert (found.level, words in found.message) == (level, True), found


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert clock.judged(0, 30_000, 60_000).level is Level.OK


async def test_without_a_broker_it_says_nothing(case_of: Any) -> None:
    assert await clock.check(case_of()) == ()
