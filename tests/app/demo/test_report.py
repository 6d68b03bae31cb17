"""The table that a newcomer reads."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console

from aiosv3.app.demo.calls import ModelCall
from aiosv3.app.demo.declared import Declared
from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.report import Report, make_report, render
from aiosv3.app.demo.sides import ResultRecord

MIT = ("1.0", Declared("MIT", "License-Expression", frozenset({"MIT"})))


def report(runs: Any, *, lost: bool = False) -> Report:
    names = ["good", "bad", "hard", *(["gone"] if lost else [])]
    records = Records(
        [runs.task(name) for name in names],
        [
            runs.result("good", offset=0),
            runs.result("bad", "ISC", "model", offset=1),
            runs.result("hard", "unknown", "person", offset=2),
        ],
        [runs.decision("bad"), runs.decision("hard", offset=1)],
        [runs.completion("bad"), runs.completion("hard")],
    )
    kills = [Kill("router", 1, "router-1", 42, 2, 43), Kill("model worker", 9)]
    landed = [ResultRecord(entry.value.task_id, entry.timestamp) for entry in records.results]
    twin = ("naive", landed[:2] * 2, [Kill("naive loop", 1, "naive-1", 8, 2, 9)])
    calls = [ModelCall("ours", "q", 1, "answered", 20, 4), *[ModelCall("naive", "q", 1, "answered", 20, 4)] * 2]
    sides = [("ours", landed, kills), twin]
    return make_report(records, dict.fromkeys(names, MIT), sides, calls, {"ours": 12.0, "naive": 20.0})


def shown(made: Report) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(render(made))
    return out.getvalue()


def test_the_table_says_all_of_it(runs: Any) -> None:
    text = shown(report(runs))
    for words in (
        "3 in 12 s",
        "1 right of 1",
        "0 right of 1 (SmolLM2-135M-Instruct, a toy model)",
        "2 public → local: best of 1 eligible",
        "2: 20 tokens in, 4 out, 0.000006 USD",
        "500 ms",
        "naive-1, pid 8, after 2 results; back as 9",
        "router-1, pid 42, after 2 results; back as 43",
        "no model worker: the work was done before its moment",
        "0 results, 0 answers",
        "The text does not match the declaration",
        "Left to you",
    ):
        assert words in text


def test_what_is_lost_is_named(runs: Any) -> None:
    assert "1: r.gone" in shown(report(runs, lost=True))
    assert "Without a verdict" in shown(report(runs, lost=True))


def test_a_kill_that_has_not_come_back(runs: Any) -> None:
    made = make_report(Records([], [], [], []), {}, [("ours", [], [Kill("router", 1, "router-1", 42, 2)])], [], {})
    text = shown(made)
    assert "not back yet" in text
    assert "unknown" in text
    assert "no model was asked" in text


def test_the_same_as_json(runs: Any) -> None:
    content = json.loads(json.dumps(report(runs, lost=True).to_json()))
    assert (content["lost"], content["done_twice"], content["called_again"]) == (1, 0, 0)
    assert content["rule"] == {"right": 1, "of": 1}
    assert content["findings"][0]["distribution"] == "bad"
    assert content["bill"]["input_tokens"] == 20
    assert content["kills"][0]["back"] == 43
    assert content["seconds"] == 12.0
    assert set(content["comparison"]["sides"]) == {"ours", "naive"}


def test_the_twin_by_the_same_count(runs: Any) -> None:
    content = report(runs).to_json()["comparison"]["sides"]
    assert (content["ours"]["lost"], content["ours"]["done_twice"]) == ((), ())
    assert (content["naive"]["lost"], content["naive"]["done_twice"]) == (("r.hard",), ("r.bad", "r.good"))
    assert (content["ours"]["calls"]["paid_again"], content["naive"]["calls"]["paid_again"]) == (0, 1)


def test_the_two_sides_come_last(runs: Any) -> None:
    text = shown(report(runs))
    assert text.index("Left to you") < text.index("decided by rule") < text.index("Same events, same model, same kills")
