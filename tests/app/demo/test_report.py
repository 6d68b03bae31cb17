"""The table that a newcomer reads."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console

from aiosv3.app.demo.declared import Declared
from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.report import Report, make_report, render

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
    return make_report(records, dict.fromkeys(names, MIT), kills, 12.0)


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
        "p50 500 ms, p99 500 ms",
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
    made = make_report(Records([], [], [], []), {}, [Kill("router", 1, "router-1", 42, 2)], 1.0)
    text = shown(made)
    assert "not back yet" in text
    assert "p50 unknown" in text
    assert "no model was asked" in text


def test_the_same_as_json(runs: Any) -> None:
    content = json.loads(json.dumps(report(runs, lost=True).to_json()))
    assert (content["lost"], content["done_twice"], content["called_again"]) == (1, 0, 0)
    assert content["rule"] == {"right": 1, "of": 1}
    assert content["findings"][0]["distribution"] == "bad"
    assert content["bill"]["input_tokens"] == 20
    assert content["kills"][0]["back"] == 43
