from __future__ import annotations

from aiosv3.router.routing.conversations import Conversations


def test_the_newest_pool_of_a_conversation() -> None:
    known = Conversations()
    known.went_to("c", "a")
    known.went_to("c", "b")
    known.went_to(None, "x")
    assert (known.pool_of("c"), known.pool_of("d"), known.pool_of(None)) == ("b", None, None)


def test_the_oldest_are_forgotten() -> None:
    known = Conversations(kept=2)
    for name in ("a", "b", "a", "c"):
        known.went_to(name, "p")
    assert [known.pool_of(name) for name in "abc"] == ["p", None, "p"]
