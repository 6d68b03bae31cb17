"""What the topics say about a run: nothing here is assumed, everything is counted from records."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiosv3.app.demo.topiclog import Entry, Result, TaskEvent
from aiosv3.schemas.records import Completion, Decision, DecisionOutcome, Outcome, base_request_id


@dataclass(frozen=True, slots=True)
class Records:
    """All records of one run, each topic in the order of its partitions and offsets, copies included.

    ``sent``: the ids that the broker acknowledged to the producer, so that a task is missed even if its record is gone.
    """

    tasks: Sequence[Entry[TaskEvent]]
    results: Sequence[Entry[Result]]
    decisions: Sequence[Entry[Decision]]
    completions: Sequence[Entry[Completion]]
    sent: Sequence[str] = ()

    @property
    def task_ids(self) -> list[str]:
        """Each task once: what lies on the topic and what was acknowledged."""
        return list(dict.fromkeys([*self.sent, *(entry.value.task_id for entry in self.tasks)]))


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of one kind that went one way. ``pool`` None: refused."""

    pool: str | None
    clearance: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Guarantees:
    """The three promises as counts, and beside them what lies on the log raw.

    ``lost``: tasks without a result. ``done_twice``: tasks with results that differ, or in two partitions; a reader
    that keeps the first record of an id is shown one of several. ``called_again``: calls that began after an answer to
    the same request was on the log. ``result_copies``, ``answer_copies``: further records of an id that already has
    one. Calls cut off by a kill leave no answer behind and are made again: that is not in any topic.
    """

    lost: tuple[str, ...]
    done_twice: tuple[str, ...]
    called_again: tuple[str, ...]
    result_copies: int
    answer_copies: int

    @property
    def kept(self) -> bool:
        """Whether all three are empty."""
        return not (self.lost or self.done_twice or self.called_again)


@dataclass(frozen=True, slots=True)
class Bill:
    """What the calls of a run used: the sum of all raw completions, so a call paid twice counts twice."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int
    models: tuple[str, ...]


def first_per_task(results: Iterable[Entry[Result]]) -> dict[str, Entry[Result]]:
    """The visible result of each task: the first record of its id."""
    visible: dict[str, Entry[Result]] = {}
    for entry in sorted(results, key=lambda one: (one.partition, one.offset)):
        visible.setdefault(entry.value.task_id, entry)
    return visible


def first_per_request(decisions: Iterable[Entry[Decision]]) -> dict[str, Decision]:
    """The decision that counts for each request and attempt: the first record of its id."""
    visible: dict[str, Decision] = {}
    for entry in sorted(decisions, key=lambda one: (one.partition, one.offset)):
        visible.setdefault(entry.value.request_id, entry.value)
    return visible


def guarantees(records: Records) -> Guarantees:
    """Lost, done twice, called again."""
    visible = first_per_task(records.results)
    lost = sorted(set(records.task_ids) - visible.keys())
    answered = [entry for entry in records.completions if entry.value.outcome is Outcome.OK]
    distinct = {base_request_id(entry.value.request_id) for entry in answered}
    return Guarantees(
        tuple(lost),
        tuple(_done_twice(records.results)),
        tuple(_called_again(answered)),
        len(records.results) - len(visible),
        len(answered) - len(distinct),
    )


def _done_twice(results: Iterable[Entry[Result]]) -> list[str]:
    outputs: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for entry in results:
        result = entry.value
        error = "" if result.error is None else f"{result.error.type}: {result.error.message}"
        content = "" if result.content is None else result.content.model_dump_json()
        outputs[result.task_id].add((entry.partition, f"{result.outcome} {content} {error}"))
    return sorted(task for task, different in outputs.items() if len(different) > 1)


def _called_again(answered: Iterable[Entry[Completion]]) -> list[str]:
    """A call began at the broker time of its answer minus its duration: late by the append, so never too lenient."""
    by_request: dict[str, list[Entry[Completion]]] = defaultdict(list)
    for entry in answered:
        by_request[base_request_id(entry.value.request_id)].append(entry)
    again = []
    for entries in by_request.values():
        earliest = min(entries, key=lambda one: one.timestamp)
        again += [
            entry.value.request_id
            for entry in entries
            if entry is not earliest and entry.timestamp - entry.value.latency_ms >= earliest.timestamp
        ]
    return sorted(again)


def routes(records: Records) -> list[Route]:
    """Where requests went and why, most frequent first."""
    clearances = {entry.value.task_id: entry.value.clearance for entry in records.tasks}
    counted: Counter[tuple[str | None, str, str]] = Counter()
    for decision in first_per_request(records.decisions).values():
        pool = decision.pool if decision.outcome is DecisionOutcome.ROUTED else None
        counted[pool, clearances.get(decision.task_id, ""), _why(decision)] += 1
    return [Route(pool, clearance, reason, count) for (pool, clearance, reason), count in counted.most_common()]


def _why(decision: Decision) -> str:
    """The reason without its numbers, which differ from request to request; and who was not eligible."""
    reason = decision.reason.partition(", score")[0]
    others = [f"{one.pool}: {one.reason}" for one in decision.candidates if not one.eligible]
    shown = others if decision.outcome is DecisionOutcome.ROUTED else []
    return "; ".join([reason, *shown])


def bill(completions: Iterable[Entry[Completion]]) -> Bill:
    """Tokens and money."""
    used = [(entry.value.usage, entry.value.model) for entry in completions]
    return Bill(
        calls=len(used),
        input_tokens=sum(usage.input_tokens for usage, _ in used),
        output_tokens=sum(usage.output_tokens for usage, _ in used),
        cost_usd_micros=sum(usage.cost_usd_micros for usage, _ in used),
        models=tuple(sorted({model for _, model in used})),
    )


def latencies(records: Records) -> list[int]:
    """Milliseconds from a task's broker time to that of its visible result, shortest first."""
    began: Mapping[str, int] = {
        entry.value.task_id: entry.timestamp for entry in sorted(records.tasks, key=lambda one: -one.timestamp)
    }
    visible = first_per_task(records.results)
    return sorted(entry.timestamp - began[task] for task, entry in visible.items() if task in began)


def percentile(sorted_values: Sequence[int], percent: float) -> int | None:
    """The nearest rank: the least value that ``percent`` per cent do not exceed."""
    if not sorted_values:
        return None
    return sorted_values[max(1, math.ceil(len(sorted_values) * percent / 100)) - 1]
