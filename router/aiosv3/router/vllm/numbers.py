"""The few numbers of vLLM's ``/metrics`` that say how full it is.

Source: vLLM, "Production Metrics" and the v1 metrics design. Names changed: ``gpu_cache_usage_perc`` became
``kv_cache_usage_perc``, ``gpu_prefix_cache_*_total`` lost its ``gpu_``, and before either there was a hit rate.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_SLEEP: Final = "vllm:engine_sleep_state"
_CACHE: Final = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_QUERIES: Final = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
_HITS: Final = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
_HIT_RATE: Final = ("vllm:gpu_prefix_cache_hit_rate",)
_RUNNING: Final = "vllm:num_requests_running"
_WAITING: Final = "vllm:num_requests_waiting"
_BY_REASON: Final = "vllm:num_requests_waiting_by_reason"
_NAMES: Final = (_RUNNING, _WAITING, _BY_REASON, _SLEEP, *_CACHE, *_QUERIES, *_HITS, *_HIT_RATE)
# Hundreds of histogram lines stand beside a dozen that matter: reading those alone takes a fortieth of the time.
_LINE: Final = re.compile(rf"^(?:{'|'.join(map(re.escape, _NAMES))})[ {{].*$", re.MULTILINE)
_LONGEST_LINE: Final = 4_096


@dataclass(frozen=True, slots=True)
class Numbers:
    """One look, all engines of the server together. ``waiting``: for want of room, where it tells reasons apart.

    ``queries`` and ``hits`` count prompt tokens looked up and found in the prefix cache since the start.
    """

    running: int = 0
    waiting: int = 0
    cache_usage: float | None = None
    queries: float | None = None
    hits: float | None = None
    hit_rate: float | None = None
    asleep: bool = False


def read_numbers(text: str) -> Numbers | None:
    """The numbers in a Prometheus exposition; None where it is none of vLLM's."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    lines = [line for line in _LINE.findall(text) if len(line) <= _LONGEST_LINE]
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if math.isfinite(sample.value) and sample.value >= 0:
                    found.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))
    except (ValueError, KeyError, IndexError):
        return None
    if _RUNNING not in found:
        return None
    held = [value for labels, value in found.get(_BY_REASON, []) if labels.get("reason") == "capacity"]
    waiting = sum(held) if held else sum(value for _, value in found.get(_WAITING, []))
    awake = [value for labels, value in found.get(_SLEEP, []) if labels.get("sleep_state") == "awake"]
    return Numbers(
        running=_count(sum(value for _, value in found[_RUNNING])),
        waiting=_count(waiting),
        cache_usage=_mean(found, _CACHE),
        queries=_total(found, _QUERIES),
        hits=_total(found, _HITS),
        hit_rate=_mean(found, _HIT_RATE),
        asleep=bool(awake) and not any(awake),
    )


_Found = dict[str, list[tuple[dict[str, str], float]]]


def _mean(found: _Found, names: tuple[str, ...]) -> float | None:
    for name in names:
        if name in found:
            values = [value for _, value in found[name]]
            return min(1.0, sum(values) / len(values))
    return None


def _total(found: _Found, names: tuple[str, ...]) -> float | None:
    return next((sum(value for _, value in found[name]) for name in names if name in found), None)


def _count(value: float) -> int:
    return min(int(value), 2**31 - 1)
