from __future__ import annotations

from aiosv3.app.tracing import Attempt, Spent, Step, Task

_ONE = {"model_calls": 1, "input_tokens": 2, "output_tokens": 3, "cached_tokens": 0, "cost_usd_micros": 5}


def test_what_was_spent_adds_up_through_the_tree() -> None:
    inner = Task("t/1", "b", 0, steps={"1": Step("1", 0, attempts={1: Attempt(1, 0, spent=Spent.of(_ONE))})})
    failed = Attempt(1, 0, spent=Spent(cost_usd_micros=1))
    steps = {
        "1": Step("1", 5, child=inner),
        "2": Step("2", 0, attempts={1: failed, 2: Attempt(2, 0, spent=Spent.of(_ONE))}),
    }
    task = Task("t", "a", 0, steps=steps)
    assert task.spent == Spent(2, 4, 6, 0, 11)
    assert [step.id for step in task.ordered()] == ["2", "1"]
    wrote = Spent.of({"cache_write_tokens": 7, "cache_write_long_tokens": 8, "estimated": True})
    assert wrote + Spent.of(_ONE) == Spent(1, 2, 3, 0, 5, 7, 8, estimated=True)
    assert (Spent.of(None), Spent.of({"input_tokens": None})) == (Spent(), Spent())


def test_json_keeps_its_names() -> None:
    step = Step("1", 3, ended=10, attempts={1: Attempt(1, 3)}).to_json()
    assert set(step) == {
        "step", "kind", "about", "began", "ended", "took_ms", "outcome", "error", "who", "answers", "spent", "attempts",
        "task",
    }  # fmt: skip
    assert (step["took_ms"], step["attempts"][0]["number"]) == (7, 1)
    task = Task("t", "a", 0).to_json()
    assert set(task) == {
        "task", "agent", "began", "ended", "took_ms", "outcome", "error", "spent", "steps", "happened", "waits",
    }  # fmt: skip
    assert task["took_ms"] is None
