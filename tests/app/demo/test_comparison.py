"""The two sides beside each other, as a table, as JSON and as a picture."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aiosv3.app.demo.calls import Tally
from aiosv3.app.demo.comparison import refused, side_by_side, svg, to_json, write_svg
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.prices import ListPrice, Withheld
from aiosv3.app.demo.sides import Side

ROOT = Path(__file__).resolve().parents[3]
OURS = Side("ours", 9, (), (), Tally(6, 5, 0, 1, 0, 0, 1_000, 100), 5, 11_500, (Kill("router", 1, "router-1", 7, 2),))
NAIVE = Side("naive", 9, ("r.lost-one",), ("r.a", "r.b"), Tally(8, 8, 3, 0, 0, 0, 2_000, 200), 900, 1_000, ())
PRICE = ListPrice("Some", "small-1", 1.0, 10.0, "2026-01-31", "https://example.org", "")
NOBODY = Withheld((), (), 6)


def shown(*sides: Side, above: Withheld = NOBODY) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(side_by_side(sides, [PRICE], above))
    return out.getvalue()


def row(text: str, name: str) -> list[str]:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    return next(cells[1:] for cells in rows if cells[0] == name)


def test_a_column_for_each() -> None:
    text = shown(OURS, NAIVE)
    assert row(text, "lost") == ["0", "1: lost-one"]
    assert row(text, "done twice") == ["0", "2: a, b"]
    assert row(text, "model calls paid twice") == ["0", "3"]
    assert row(text, "model calls") == ["6", "8"]
    assert row(text, "of them cut off by a kill") == ["1", "0"]
    assert row(text, "task → result, p50") == ["5 ms", "900 ms"]
    assert row(text, "p99 (lost ones left out)") == ["11.5 s", "1000 ms"]
    assert row(text, "kill -9") == ["1", "0"]
    assert row(text, "at small-1") == ["0.002000 USD", "0.004000 USD"]


def test_a_lucky_twin_is_shown_as_it_was() -> None:
    assert row(shown(OURS, replace(OURS, name="naive")), "lost") == ["0", "0"]


def test_without_the_twin_there_is_one_column() -> None:
    text = shown(OURS)
    assert "naive" not in text
    assert row(text, "lost") == ["0"]


def test_the_last_line_dates_its_prices() -> None:
    last = " ".join(shown(OURS, NAIVE).rpartition("┘")[2].split())
    assert "Some small-1 1.00/10.00 USD per million tokens in/out since 2026-01-31" in last


@pytest.mark.parametrize(
    ("above", "words"),
    [
        (
            Withheld(("a",), ("a", "a"), 6),
            "2 of 6 calls would have been refused there: their texts are above public (a)",
        ),
        (Withheld(("a",), (), 6), "No call would have been refused there: what is above public (a) asked no model."),
        (NOBODY, "No call would have been refused there: all texts are public."),
    ],
)
def test_who_would_not_have_been_asked(above: Withheld, words: str) -> None:
    assert words in refused(above)


def test_many_names_are_cut() -> None:
    text = shown(OURS, replace(NAIVE, lost=tuple(f"r.{name}" for name in "abcdef")))
    assert row(text, "lost")[1] == "6: a, b, c, d, …"


def test_the_same_as_json() -> None:
    content: dict[str, Any] = json.loads(json.dumps(to_json([OURS, NAIVE], [PRICE], NOBODY)))
    assert content["sides"]["naive"]["calls"]["paid_again"] == 3
    assert content["prices"][0]["usd"] == {"ours": pytest.approx(0.002), "naive": pytest.approx(0.004)}
    assert content["refused_by_a_public_pool"]["of_calls"] == 6


def test_a_picture_fetches_nothing(tmp_path: Path) -> None:
    write_svg(tmp_path / "run.svg", [side_by_side([OURS, NAIVE], [PRICE], NOBODY)], "a title")
    text = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert "a&#160;title" in text
    assert "paid&#160;twice" in text
    check(text)


def test_parts_of_a_picture_stand_apart() -> None:
    assert svg(["one", "two"], "t").index("one") < svg(["one", "two"], "t").index("two")


def test_the_picture_of_the_readme() -> None:
    text = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    check(text)
    assert "naive&#160;loop" in text
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/demo.svg)" in readme


def check(text: str) -> None:
    """Well-formed, and no address in it but that of its own namespace."""
    ET.fromstring(text)
    assert set(re.findall(r"https?://[^\s\"')]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in text
