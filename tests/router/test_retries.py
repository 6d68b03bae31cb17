from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.retries import RetryBudget, RetryPolicy

POLICY = RetryPolicy(share=0.1, a_second=0.1, most=10.0)


def test_a_quiet_pool_may_retry_and_an_outage_may_not_feed_itself() -> None:
    now = [0.0]
    budget = RetryBudget(POLICY, lambda: now[0])
    assert budget.left() == 1.0
    made = 0
    for _ in range(1_000):
        budget.called()
        made += budget.take()
    assert made == 109, "the ten that were saved up, and every tenth call"
    assert (budget.made, budget.withheld) == (109, 891)
    assert budget.left() < 0.2
    now[0] += 100.0
    assert budget.left() == 1.0


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_retries_never_pass_their_share(steps: list[tuple[float, bool]]) -> None:
    now = [0.0]
    budget = RetryBudget(POLICY, lambda: now[0])
    calls = 0
    for passes, retries in steps:
        now[0] += passes
        if retries:
            budget.take()
        else:
            calls += 1
            budget.called()
        assert budget.made <= POLICY.most + POLICY.share * calls + POLICY.a_second * now[0] + 1e-6
        assert 0.0 <= budget.left() <= 1.0
