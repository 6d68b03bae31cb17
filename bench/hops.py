"""Three bare Kafka hops, measured in each round of single calls: what a call adds is a multiple of them.

Back to back nothing on their way ever sleeps: no thread of a client, none of the broker. A call lets all of it sleep
while the endpoint works, so there is a second kind, with as long a pause between one record and the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, but not "as"
from measures import percentile
from router_calls import DELAY_MS, script


class Kind(NamedTuple):
    """How many in a round, and how many milliseconds between one and the next."""

    records: int
    pause_ms: int


KINDS = {"back to back": Kind(600, 0), f"{DELAY_MS} ms apart": Kind(60, DELAY_MS)}


class Hops:
    """What the hops of one broker, or cluster, have taken, round by round."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._took_ms: dict[str, list[list[float]]] = {name: [] for name in KINDS}

    def measure(self, callers: int) -> None:
        """One round, beside those of a single caller. The first tenth is not counted."""
        if callers != 1:
            return
        for name, kind in KINDS.items():
            told = script(
                "bare_hops.py", self._bootstrap, self._topics(), kind.records + kind.records // 10, kind.pause_ms
            )
            self._took_ms[name].append([float(line) for line in told.splitlines()[kind.records // 10 :]])

    def _topics(self) -> str:
        prefix = f"hops-{uuid.uuid4().hex[:8]}."
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 4})
        topics = [NewTopic(f"{prefix}hop{number}", 1) for number in range(3)]
        for future in admin.create_topics(topics, operation_timeout=30).values():
            future.result()
        return prefix

    def rows(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Each kind of hops: medians of its rounds, and what ``call`` (a row of single calls) adds as a multiple."""
        return {name: row(rounds, call) for name, rounds in self._took_ms.items()}


def row(rounds: list[list[float]], call: Mapping[str, Any]) -> dict[str, float]:
    """``p50_ratio``: what a call adds, over the hops; ``p99_ratio``: of the slowest hundredth of both."""
    p50, p99 = (median(percentile(took, share) for took in rounds) for share in (0.5, 0.99))
    return {
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "p50_ratio": round(call["added_p50_ms"] / p50, 2),
        "p99_ratio": round(call["added_p99_ms"] / p99, 2),
    }


def hops_lines(rows: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """The rows as people read them."""
    for name, figures in rows.items():
        yield (
            f"three bare hops, {name}: p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms; "
            f"a call adds {figures['p50_ratio']:.1f} times their p50, {figures['p99_ratio']:.1f} times their p99"
        )
