from __future__ import annotations

from collections import Counter

from aiosv3.router.routing.shares import Share, share_of

CANARY = Share("canary", 500, frozenset({"new"}))
ROOTS = [f"order-{number}" for number in range(20_000)]


def test_the_same_tree_falls_into_the_same_share() -> None:
    assert [share_of("r", root, [CANARY]) for root in ROOTS[:100]] == [
        share_of("r", root, [CANARY]) for root in ROOTS[:100]
    ]


def test_shares_are_as_large_as_they_say() -> None:
    halves = [Share("a", 2_500, frozenset()), Share("b", 5_000, frozenset())]
    drawn = Counter(share.name if share else "rest" for share in (share_of("r", root, halves) for root in ROOTS))
    assert abs(drawn["a"] / len(ROOTS) - 0.25) < 0.02
    assert abs(drawn["b"] / len(ROOTS) - 0.5) < 0.02


def test_a_larger_canary_keeps_those_that_it_had() -> None:
    small = {root for root in ROOTS if share_of("r", root, [CANARY])}
    large = {root for root in ROOTS if share_of("r", root, [Share("canary", 1_000, frozenset())])}
    assert small < large


def test_experiments_do_not_lean_on_each_other() -> None:
    first = {root for root in ROOTS if share_of("one", root, [Share("a", 5_000, frozenset())])}
    both = {root for root in first if share_of("two", root, [Share("a", 5_000, frozenset())])}
    assert abs(len(both) / len(first) - 0.5) < 0.03


def test_the_draw_is_fixed_for_ever() -> None:
    """Another hash would move every running experiment."""
    half = [Share("a", 5_000, frozenset())]
    assert [root for root in "abcdefgh" if share_of("r", root, half)] == ["b", "e", "f", "g", "h"]
