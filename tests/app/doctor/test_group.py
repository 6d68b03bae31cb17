from __future__ import annotations

from typing import Any

from aiosv3.app.doctor import Level, group
from aiosv3.streams.kafka import GroupProtocol


def test_the_protocol_is_told_with_the_time_that_a_crash_costs() -> None:
    found = group.judged(GroupProtocol("consumer", 6_000, "because"))
    assert (found.level, found.message) == (
        Level.OK,
        "KIP-848 (consumer), a worker that is killed is noticed after 6 s (because)",
    )
    slow = group.judged(GroupProtocol("classic", 45_000, "because"))
    assert (slow.level, slow.message[:27]) == (Level.WARNING, "classic, a worker that is k")


async def test_without_a_broker_it_says_nothing(case_of: Any) -> None:
    assert await group.check(case_of()) == ()
