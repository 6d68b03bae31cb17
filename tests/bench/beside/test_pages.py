"""How results become a page and plots, and that the page says what was measured last."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET  # our own files
from typing import Any

import pytest
from beside.command import PAGE, RESULTS
from beside.pages import blocks_of, plots_of, put, table
from beside.plots import Bar, bars, curve, nice

TOLD = {
    "command": "python bench/peers_bench.py --quick",
    "date": "2026-01-31",
    "minutes": 3.6,
    "cores": 2,
    "cpu": "a processor",
    "memory_gb": 8,
    "python": "3.11.7",
    "kafka": "4.3.1",
    "confluent": "2.16.1",
    "load": [1.0, 2.0],
    "others_share": 0.25,
}


def row(cpu: float, p50: float, five: float | None = None, lost: int = 0) -> dict[str, Any]:
    waiting = {} if five is None else {"5000": {"efficiency": five, "cpu_us": 1.0}}
    return {
        "version": "1",
        "note": "as its guide says",
        "noop": {"tasks_s": 1e6 / cpu, "cpu_us": cpu, "p50_ms": p50, "p99_ms": 9.0, "missing": 0},
        "waiting": waiting,
        "kill": {"lost": lost, "duplicated": 0, "repeated": 0, "cut": 50, "recovery": None, "tasks": 1_000},
    }


def stream() -> dict[str, Any]:
    ours = {**row(20, 2.0, 0.9), "keyed": {"efficiency": 0.95, "tasks_s": 9_500.0, "cpu_us": 90.0}}
    rows = {"AIOSv3": ours, "bare confluent-kafka": row(10, 1.0), "Faust": row(60, 1.0, 0.5, lost=1)}
    return {"told": TOLD, "rows": rows, "left_out": {"Other": "it needs what is not here"}}


def line(text: str, start: str) -> list[str]:
    return next(
        [cell.strip() for cell in each.split("|")[1:-1]] for each in text.splitlines() if each.startswith(start)
    )


def test_the_best_of_a_column_is_bold_whoever_it_is() -> None:
    text = blocks_of({"stream": stream()})["stream"]
    assert line(text, "| bare") == [
        "bare confluent-kafka",
        "**100,000**",
        "**10 µs**",
        "1.0",
        "**1.0 ms, 9**",
        "—",
        "—",
        "—",
    ]
    assert line(text, "| AIOSv3") == ["AIOSv3", "50,000", "20 µs", "2.0", "2.0 ms, 9", "—", "**90%**", "95%"]
    assert line(text, "| Faust |")[4] == "**1.0 ms, 9**", "what reads the same is as good"


def test_what_was_not_measured_is_a_dash_and_who_is_missing_is_said() -> None:
    text = blocks_of({"stream": stream()})["stream"]
    kill = [each for each in text.splitlines() if each.startswith("| Faust")][1]
    assert [cell.strip() for cell in kill.split("|")[1:-1]] == ["Faust", "1", "**0**", "**0**", "50", "—"]
    assert "- Other is left out: it needs what is not here" in text
    assert "load 1.0 to 2.0, others had 25% of the cores" in text
    assert "4 minutes; 2 cores (a processor), 8 GB, Python 3.11.7" in text


def test_a_rebalance_has_a_line_for_each_event_and_sums_what_went_wrong() -> None:
    event = {"stay_s": [0.2, 0.4, 0.9], "moved": [2, 2, 2], "over_s": [1.0, 1.1, 2.0], "stood_s": [1.0, 1.2, 2.1]}
    counts = {"redone": [0, 1, 0], "twice_stayed": [0, 0, 2], "twice_moved": [4, 5, 3]}
    whole = {"tasks": [1_000, 1_000, 500], "lost": [0, 0, 1], "two_results": [0, 0, 0]}
    rows = {"named": {"joins": {**event, **counts}, "all": whole}}
    left = {"unnamed, a round": "the machine was busy"}
    text = blocks_of({"rebalance": {"told": TOLD, "rows": rows, "rounds": 3, "left_out": left}})["rebalance"]
    assert "- unnamed, a round is left out: the machine was busy" in text
    assert line(text, "| named: joins") == ["named: joins", "0.4 s (0.9)", "1.1 s (2.0)", "1.2 s (2.1)", "5"]
    assert "2,500 tasks: 1 lost, 0 with two results, 1 finished ones done again, 2 calls made twice" in text


def test_linearity_is_over_one_worker_or_not_told() -> None:
    made = {"ideal_s": 100.0, "cpu_us": 500.0, "cores": 0.5}
    rows = {"1": {**made, "tasks_s": 80.0}, "4": {**made, "ideal_s": 400.0, "tasks_s": 240.0}}
    found: dict[str, Any] = {"told": TOLD, "rows": rows, "left_out": {"AIOSv3, 8 workers": "the time was over"}}
    text = blocks_of({"workers": found})["workers"]
    assert line(text, "| 4")[:4] == ["4", "240", "60%", "75%"]
    assert text.endswith("- AIOSv3, 8 workers: left out: the time was over")
    del rows["1"]
    assert line(blocks_of({"workers": found})["workers"], "| 4")[3] == "—"


def test_a_section_that_came_to_nothing_is_none() -> None:
    assert blocks_of({"stream": {"told": TOLD, "rows": {}, "left_out": {}}}) == {}


def test_a_block_is_put_between_its_markers_again_and_again() -> None:
    page = "before\n<!-- one: begin, written by `make bench-peers` -->\nold\n<!-- one: end -->\nafter\n"
    once = put(page, {"one": "new \\1 text\n"})
    assert once == page.replace("old", "new \\1 text")
    assert put(once, {"one": "new \\1 text\n"}) == once
    with pytest.raises(KeyError, match="no markers for two"):
        put(page, {"two": "text"})


def test_plots_are_whole_svg_with_no_background() -> None:
    for text in plots_of({"stream": stream()}).values():
        root = ET.fromstring(text)
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "background" not in text
    assert set(plots_of({"stream": stream()})) == {"beside-noop.svg", "beside-waiting.svg"}


def test_a_bar_is_as_long_as_its_value() -> None:
    root = ET.fromstring(bars("t", [Bar("a & b", 2.0, "2"), Bar("ours", 4.0, "4", ours=True), Bar("none", 0.0, "0")]))
    widths = [float(each.attrib["width"]) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[1] == 2 * widths[0] > 0 == widths[2]
    logarithmic = bars("t", [Bar("a", 1.0, ""), Bar("b", 10.0, ""), Bar("c", 100.0, "")], logarithmic=True)
    found = [
        float(each.attrib["width"]) for each in ET.fromstring(logarithmic).iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert found[1] - found[0] == pytest.approx(found[2] - found[1], abs=0.2)


def test_a_curve_stays_inside() -> None:
    root = ET.fromstring(curve("t", [(0.0, 0.0), (10.0, 730.0)], "x", "y"))
    places = next(root.iter("{http://www.w3.org/2000/svg}polyline")).attrib["points"].split()
    (x0, y0), (x1, y1) = (map(float, place.split(",")) for place in places)
    assert x0 < x1 <= 760
    assert 0 < y1 < y0
    assert [nice(value) for value in (0.7, 1.0, 3.0, 730.0, 810.0)] == [0.8, 1.0, 4.0, 800.0, 1_000.0]


def test_a_table_is_markdown() -> None:
    assert table(["", "b"], [["1", "2"]]) == "|  | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_page_says_what_was_measured_last() -> None:
    """Whoever edits a figure by hand, or forgets to write the page, is found."""
    if not RESULTS.exists():
        pytest.skip("nothing was measured yet")
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    assert put(text, blocks_of(results)) == text
    for name, plot in plots_of(results).items():
        assert (PAGE.parent / "img" / name).read_text(encoding="utf-8") == plot
        assert f"](img/{name})" in text
