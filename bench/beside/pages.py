"""Results as tables of a page, between its markers, and as plots. Pure: the same results give the same text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final, TypeAlias

from beside.plots import Bar, bars, curve

OURS: Final = "AIOSv3"
BARE: Final = "bare confluent-kafka"


def put(page: str, blocks: Mapping[str, str]) -> str:
    """The page with these blocks between their markers. Raises KeyError for a marker that it lacks."""
    for name, text in blocks.items():
        begin, end = f"<!-- {name}: begin, written by `make bench-peers` -->", f"<!-- {name}: end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise KeyError(f"the page has no markers for {name}: {begin} … {end}")
        page = pattern.sub(lambda _, b=begin, t=text, e=end: f"{b}\n{t.rstrip()}\n{e}", page)  # type: ignore[misc]
    return page


def blocks_of(results: Mapping[str, Any]) -> dict[str, str]:
    """Name of a block -> its text, of the sections that were measured."""
    known: dict[str, Callable[[Any], str]] = {"stream": stream, "steps": steps, "workers": workers, "parked": parked}
    known |= {"rebalance": rebalance, "soak": soak}
    return {name: known[name](found) for name, found in results.items() if name in known and found["rows"]}


def plots_of(results: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SVG."""
    found: dict[str, str] = {}
    if "stream" in results:
        rows = results["stream"]["rows"]
        found["beside-noop.svg"] = _bars("Processor time of a no-op task, µs", rows, "noop", "cpu_us", "{:.0f} µs")
        five = {name: row for name, row in rows.items() if "5000" in row.get("waiting", {})}
        found["beside-waiting.svg"] = bars(
            "5,000 tasks of half a second at once: share of the ideal",
            [
                Bar(
                    name,
                    row["waiting"]["5000"]["efficiency"],
                    f"{row['waiting']['5000']['efficiency']:.0%}",
                    name == OURS,
                )
                for name, row in five.items()
            ],
        )
    if "steps" in results:
        rows = results["steps"]["rows"]
        found["beside-steps.svg"] = _bars(
            "Three durable steps of 1 KiB, median, ms (logarithmic)", rows, "speed", "p50_ms", "{:.1f} ms", True
        )
        found["beside-workflows.svg"] = _bars(
            "Workflows a second, 50 at once", rows, "speed", "workflows_s", "{:.0f}", False
        )
    if "workers" in results:
        points = [(float(count), row["tasks_s"]) for count, row in results["workers"]["rows"].items()]
        found["scale-workers.svg"] = curve(
            "Throughput against worker processes", [(0.0, 0.0), *points], "worker processes", "tasks/s"
        )
    if "soak" in results:
        points = [(at / 60, size) for at, size in results["soak"]["memory_mb"]]
        found["soak.svg"] = curve("Memory of one worker at 80 % load", points, "minutes", "MiB resident")
    return found


def _bars(title: str, rows: Mapping[str, Any], part: str, figure: str, words: str, logarithmic: bool = False) -> str:
    seen = [(name, row[part][figure]) for name, row in rows.items() if part in row]
    return bars(title, [Bar(name, v, words.format(v), name == OURS) for name, v in seen], logarithmic=logarithmic)


def stamp(found: Mapping[str, Any]) -> str:
    """When, where and how: one paragraph."""
    told = found["told"]
    busy = f"load {told['load'][0]:.1f} to {told['load'][1]:.1f}"
    if told["others_share"] is not None:
        busy += f", others had {told['others_share']:.0%} of the cores"
    return (
        f"`{told['command']}`, {told['date']}, {told['minutes']:.0f} minutes; {told['cores']} cores ({told['cpu']}), "
        f"{told['memory_gb']} GB, Python {told['python']}, Apache Kafka {told['kafka']}, confluent-kafka "
        f"{told['confluent']}, {busy}."
    )


def stream(found: Mapping[str, Any]) -> str:
    """No-op tasks, waiting tasks, kill -9."""
    rows: dict[str, Any] = found["rows"]
    bare = rows.get(BARE, {}).get("noop", {}).get("cpu_us", math.nan)
    speed = table(
        ["", "tasks/s", "CPU a task", "over the bare loop", "p50, p99", "1,000 at once", "5,000 at once", "1,000 keys"],
        _columns(
            rows,
            [
                (lambda row: row["noop"]["tasks_s"], "{:,.0f}", max),
                (lambda row: row["noop"]["cpu_us"], "{:.0f} µs", min),
                (lambda row: row["noop"]["cpu_us"] / bare, "{:.1f}", None),
                (lambda row: row["noop"]["p50_ms"], "{:.1f} ms", min),
                (lambda row: row["waiting"]["1000"]["efficiency"], "{:.0%}", max),
                (lambda row: row["waiting"]["5000"]["efficiency"], "{:.0%}", max),
                (lambda row: row["keyed"]["efficiency"], "{:.0%}", max),
            ],
            {3: lambda row: f", {row['noop']['p99_ms']:.0f}"},
        ),
    )
    kill = table(
        ["after kill -9", "lost", "two results", "done again though finished", "cut off, done again", "at work again"],
        _columns(
            rows,
            [
                *(
                    (lambda row, figure=figure: row["kill"][figure], "{:.0f}", min if figure != "cut" else None)
                    for figure in ("lost", "duplicated", "repeated", "cut")
                ),
                (lambda row: row["kill"]["recovery"], "{:.1f} s", min),
            ],
        ),
    )
    pictures = (
        _picture("beside-noop.svg", "Processor time of a no-op task", rows, "noop", "cpu_us", "{:.0f} µs"),
        _picture_of("beside-waiting.svg", "5,000 tasks of half a second at once", _fives(rows)),
    )
    return "\n\n".join([stamp(found), speed, *pictures, kill, _setup(found)])


def _fives(rows: Mapping[str, Any]) -> dict[str, str]:
    return {n: f"{r['waiting']['5000']['efficiency']:.0%}" for n, r in rows.items() if "5000" in r.get("waiting", {})}


def steps(found: Mapping[str, Any]) -> str:
    """Durable steps, and kill -9 in the middle."""
    rows = found["rows"]
    speed = table(
        ["", "p50", "p99", "workflows/s", "CPU a workflow", "the truth is in"],
        [
            [name, *cells, rows[name]["keeps"]]
            for name, *cells in _columns(
                rows,
                [
                    (lambda row: row["speed"]["p50_ms"], "{:.1f} ms", min),
                    (lambda row: row["speed"]["p99_ms"], "{:.1f} ms", min),
                    (lambda row: row["speed"]["workflows_s"], "{:.0f}", max),
                    (lambda row: row["speed"]["cpu_ms"], "{:.1f} ms", min),
                ],
            )
        ],
    )
    kill = table(
        [
            "after kill -9",
            "lost",
            "used steps again",
            "returned steps again",
            "cut off, again",
            "at work again",
            "all done",
        ],
        _columns(
            rows,
            [
                (lambda row: row["kill"]["lost"], "{:.0f}", min),
                (lambda row: row["kill"]["repeated"], "{:.0f}", min),
                (lambda row: row["kill"]["returned"], "{:.0f}", min),
                (lambda row: row["kill"]["cut"], "{:.0f}", None),
                (lambda row: row["kill"]["recovery"], "{:.1f} s", min),
                (lambda row: row["kill"]["whole_s"], "{:.1f} s", min),
            ],
        ),
    )
    pictures = (
        _picture("beside-steps.svg", "Three durable steps, median", rows, "speed", "p50_ms", "{:.1f} ms"),
        _picture("beside-workflows.svg", "Workflows a second", rows, "speed", "workflows_s", "{:.0f}"),
    )
    return "\n\n".join([stamp(found), speed, *pictures, kill, _setup(found)])


def workers(found: Mapping[str, Any]) -> str:
    """Throughput against processes."""
    one = found["rows"].get("1", {}).get("tasks_s", math.nan)
    lines = [
        [
            count,
            f"{row['tasks_s']:,.0f}",
            f"{row['tasks_s'] / row['ideal_s']:.0%}",
            "—" if math.isnan(one) else f"{row['tasks_s'] / one / int(count):.0%}",
            f"{row['cpu_us']:.0f} µs",
            f"{row['cores']:.2f}",
        ]
        for count, row in found["rows"].items()
    ]
    head = [
        "workers",
        "tasks/s",
        "of what they could wait for",
        "linearity",
        "CPU a task",
        "cores busy, broker included",
    ]
    words = {count: f"{row['tasks_s']:,.0f} tasks/s" for count, row in found["rows"].items()}
    left = "\n".join(f"- {name}: left out: {why}" for name, why in found["left_out"].items())
    parts = [stamp(found), table(head, lines), _picture_of("scale-workers.svg", "Workers", words), left]
    return "\n\n".join(filter(None, parts))


def rebalance(found: Mapping[str, Any]) -> str:
    """Pauses while workers come and go, and what was done twice."""
    head = ["", "partitions that stay", "that move: at work again", "stood still", "calls cut off, made again"]
    lines, sums = [], dict.fromkeys(("tasks", "lost", "two_results", "redone", "twice_stayed"), 0.0)
    for kind, events in found["rows"].items():
        for event, figures in events.items():
            sums |= {name: sums[name] + sum(figures[name]) for name in sums if name in figures}
            if event != "all":
                stay, over, stood = (_spread(figures[name]) for name in ("stay_s", "over_s", "stood_s"))
                lines.append([f"{kind}: {event}", stay, over, stood, f"{max(figures['twice_moved']):.0f}"])
    words = (
        f"Median and worst of {found['rounds']} rounds. {sums['tasks']:,.0f} tasks: {sums['lost']:.0f} lost, "
        f"{sums['two_results']:.0f} with two results, {sums['redone']:.0f} finished ones done again, "
        f"{sums['twice_stayed']:.0f} calls made twice on partitions that stayed."
    )
    left = "\n".join(f"- {name} is left out: {why}" for name, why in found["left_out"].items())
    return "\n\n".join(filter(None, [stamp(found), table(head, lines), words, left]))


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.1f} s ({max(values):.1f})"


def parked(found: Mapping[str, Any]) -> str:
    """Many open tasks on one worker, over the log in memory."""
    lines = [
        [
            f"{row['tasks']:,}",
            f"{row['cpu_us']:.0f} µs",
            f"{row['restore_us']:.0f} µs",
            f"{row['bytes_each']:,.0f} bytes",
            f"{row['resident_mb']:,.0f} MiB",
        ]
        for row in found["rows"].values()
    ]
    head = ["open tasks", "CPU to start and park one", "CPU to restore one", "memory for one, log included", "resident"]
    return "\n\n".join([stamp(found), table(head, lines)])


def soak(found: Mapping[str, Any]) -> str:
    """Memory over time."""
    words = (
        f"{found['tasks']:,} tasks in {found['minutes']:.1f} minutes at {found['rate']:.0f} a second, which is "
        f"{found['share']:.0%} of what the worker had done a second when it was measured right before "
        f"({found['capacity']:.0f}). Resident memory: {found['first_mb']:.1f} MiB in the second tenth of the time, "
        f"{found['last_mb']:.1f} MiB in the last ({found['growth']:+.1%}); least {found['least_mb']:.1f}, most "
        f"{found['most_mb']:.1f}. Results missing at the end: {found['missing']}."
    )
    picture = f"![Memory of one worker over {found['minutes']:.0f} minutes: {found['first_mb']:.0f} MiB at first, "
    return "\n\n".join([stamp(found), words, f"{picture}{found['last_mb']:.0f} MiB at last](img/soak.svg)"])


Pick: TypeAlias = tuple[Callable[[Any], float], str, Callable[[Iterable[float]], float] | None]
"""A figure of a row, how it is written, and which of a column is the best: None where there is no best."""


def _columns(
    rows: Mapping[str, Any],
    picks: Sequence[Pick],
    after: Mapping[int, Callable[[Any], str]] | None = None,
) -> list[list[str]]:
    """A line for each row: its figures, the best of each column in bold; a dash for what was not measured."""
    found = [[_figure(pick, row) for pick, _, _ in picks] for row in rows.values()]
    lines = []
    for name, row, figures in zip(rows, rows.values(), found, strict=True):
        cells = []
        for place, (figure, (_, words, best)) in enumerate(zip(figures, picks, strict=True)):
            known = [line[place] for line in found if math.isfinite(line[place])]
            text = words.format(figure) if math.isfinite(figure) else "—"
            more = (after or {}).get(place)
            text += more(row) if more is not None and math.isfinite(figure) else ""
            wins = best is not None and known and words.format(best(known)) == words.format(figure)
            cells.append(f"**{text}**" if wins and len(known) > 1 else text)
        lines.append([name, *cells])
    return lines


def _figure(pick: Callable[[Any], float], row: Any) -> float:
    try:
        return float(pick(row))
    except (KeyError, TypeError):  # it was not measured, or came to nothing
        return math.nan


def _setup(found: Mapping[str, Any]) -> str:
    lines = [f"- {name} {row['version']}: {row['note']}." for name, row in found["rows"].items()]
    lines += [f"- {name} is left out: {why}" for name, why in found["left_out"].items()]
    return "\n".join(lines)


def _picture(file: str, what: str, rows: Mapping[str, Any], part: str, figure: str, words: str) -> str:
    return _picture_of(file, what, {n: words.format(r[part][figure]) for n, r in rows.items() if part in r})


def _picture_of(file: str, what: str, words: Mapping[str, str]) -> str:
    return f"![{what}: {', '.join(f'{name} {text}' for name, text in words.items())}](img/{file})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
