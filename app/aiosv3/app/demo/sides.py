"""The two sides by the same count: what each lost, did twice and paid for twice, and how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiosv3.app.demo.calls import ModelCall, Tally, tally
from aiosv3.app.demo.facts import percentile
from aiosv3.app.demo.kills import Kill


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """A result record as either side has it: the task that it is about, and its broker time in milliseconds."""

    task_id: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a run, counted from its records and from what the model saw.

    ``lost``: tasks without a result record. ``done_twice``: tasks with more than one, whatever is in them. Latencies in
    milliseconds from a task's record to its first result, over tasks that have one.
    """

    name: str
    tasks: int
    lost: tuple[str, ...]
    done_twice: tuple[str, ...]
    calls: Tally
    p50_ms: int | None
    p99_ms: int | None
    kills: tuple[Kill, ...]


def count_side(
    name: str,
    began: Mapping[str, int],
    results: Sequence[ResultRecord],
    calls: Iterable[ModelCall],
    kills: Iterable[Kill],
) -> Side:
    """``began``: every task that was sent, and its broker time; results of other tasks are passed over."""
    counted = Counter(one.task_id for one in results if one.task_id in began)
    first: dict[str, int] = {}
    for one in results:
        if one.task_id in began:
            first[one.task_id] = min(one.timestamp, first.get(one.task_id, one.timestamp))
    spread = sorted(at - began[task] for task, at in first.items() if began[task])
    return Side(
        name=name,
        tasks=len(began),
        lost=tuple(sorted(began.keys() - counted.keys())),
        done_twice=tuple(sorted(task for task, count in counted.items() if count > 1)),
        calls=tally(calls, name),
        p50_ms=percentile(spread, 50),
        p99_ms=percentile(spread, 99),
        kills=tuple(kills),
    )
