"""``make bench-memory``: what memory costs, in pairs, in one run. Prints a table; with ``--json`` one document.

    python bench/memory_bench.py [--only ingest search recall weaviate] [--count 50000] [--pairs 3] [--json]

``ingest``: processor time of an event from ``memory.events`` into the embedded view, beside a bare loop that decodes
and inserts into the same store; and of building that view anew beside the live one. ``search``: among 100,000 memories
with vectors. ``recall``: through Kafka, beside a bare loop that searches the same store, once the worker has caught up.
``weaviate``: the view beside a bare client, where ``weaviate-server`` is in the cache (the contract tests build it) and
the extra is installed.

Machines are shared and noisy: read the ratios; the load stands beside each figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from measures import Spread, Watch, percentile, ratios, report
from memory_fill import PARTITIONS, bench_settings

from aiosv3.app.localstack.distribution import default_cache
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.schemas.topics import Topics

HERE = Path(__file__).parent
SECTIONS = ("ingest", "search", "recall", "weaviate")
LIMITS = {
    "ingest_ratio": 2.0,
    "ingest_per_s": 5_000,
    "rebuild_per_s": 20_000,
    "search_p50_ms": 10,
    "search_p99_ms": 50,
    "recall_ratio_at_1": 1.5,
    "recall_ratio_at_16": 2.0,
    "weaviate_ratio": 1.2,
}
WEAVIATE = "weaviate-1.39.0/weaviate-server"
CALLS = {1: 200, 16: 800}
WARM = 20
"""Calls before the counted ones: ``memory_recall`` makes them."""
SETTLED_S = 600.0
Say = Callable[[str], None]


def python(name: str, *arguments: object) -> list[str]:
    """The command of a script of this folder."""
    return [sys.executable, str(HERE / name), *map(str, arguments)]


def told(name: str, *arguments: object) -> Any:
    """What a script prints last, as JSON."""
    done = subprocess.run(python(name, *arguments), capture_output=True, text=True, check=False, timeout=1_800)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout[done.stdout.index("{" if "{" in done.stdout else "[") :])


def loaded(watch: Watch) -> dict[str, Any]:
    """The load while something was measured."""
    busy = watch.report()
    return {"load": [round(one, 1) for one in busy.load], "others_share": round(busy.others, 2)}


def per_second(cpu_us: float) -> int:
    """Events that one core does in a second."""
    return round(1e6 / cpu_us)


def ingest(say: Say, bootstrap: str, count: int, pairs: int) -> dict[str, Any]:
    """Events into the view: a worker's parts and a bare loop, in turn; and a rebuild by the worker."""
    found: dict[str, Any] = {"events": count}
    for name, vectors in (("without vectors", 0), ("with vectors", 1)):
        watch, prefix = Watch({"bench": os.getpid()}), f"ingest{vectors}."
        told_nothing("memory_fill.py", bootstrap, prefix, count, vectors)
        runs: dict[str, list[Any]] = {"ours": [], "bare": []}
        for number in range(pairs):
            for which in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
                runs[which].append(told("memory_take.py", which, bootstrap, prefix, count))
        ours, bare = ([run["taken"]["cpu_us"] for run in runs[which]] for which in ("ours", "bare"))
        rebuilt = [run["rebuilt"]["cpu_us"] for run in runs["ours"]]
        wall = median(run["rebuilt"]["wall_us"] for run in runs["ours"])
        ratio, load = ratios(ours, bare), loaded(watch)
        found[name] = {
            "ours_cpu_us": Spread.of(ours).median,
            "bare_cpu_us": Spread.of(bare).median,
            "ratio": round(ratio.median, 2),
            "per_cpu_s": per_second(Spread.of(ours).median),
            "per_wall_s": per_second(median(run["taken"]["wall_us"] for run in runs["ours"])),
            "rebuild_cpu_us": Spread.of(rebuilt).median,
            "rebuild_per_cpu_s": per_second(Spread.of(rebuilt).median),
            "rebuild_per_wall_s": per_second(wall),
            **load,
        }
        say(
            f"ingest {name}: ours {Spread.of(ours).words(1)} µs CPU an event, bare {Spread.of(bare).words(1)}, ratio "
            f"{ratio.words()}; rebuild {Spread.of(rebuilt).words(1)} µs CPU ({per_second(median(rebuilt))}/s a core, "
            f"{per_second(wall)}/s on the clock); load {load['load']}"
        )
    return found


def told_nothing(name: str, *arguments: object) -> None:
    """Runs a script that only does something."""
    done = subprocess.run(python(name, *arguments), capture_output=True, text=True, check=False, timeout=1_800)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")


def search(say: Say, memories: int, searches: int) -> dict[str, Any]:
    """The embedded view alone."""
    watch = Watch({"bench": os.getpid()})
    found: dict[str, Any] = told("memory_find.py", "--memories", memories, "--searches", searches)
    found |= loaded(watch)
    say(
        f"search among {memories}: p50 {found['all_p50_ms']} ms ({found['all_p50_cpu_ms']} CPU), p99 "
        f"{found['all_p99_ms']} ms ({found['all_p99_cpu_ms']} CPU); {found['megabytes_per_million']:.0f} MB a million; "
        f"load {found['load']}"
    )
    return found


@contextmanager
def memory_worker(bootstrap: str, prefix: str) -> Iterator[int]:
    """``aiosv3 worker memory`` on that mesh: its process."""
    settings = bench_settings(bootstrap, prefix)
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder:
        project = Path(folder) / "aiosv3.toml"
        kafka = f'bootstrap = "{bootstrap}"\nprefix = "{prefix}"\npartitions = {settings.kafka.partitions}\n'
        project.write_text(f'[kafka]\n{kafka}\n[memory]\nembedder = "none"\n', encoding="utf-8")
        command = [sys.executable, "-m", "aiosv3.app", "worker", "memory", "--project", str(project)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield process.pid
            finally:
                process.terminate()


@contextmanager
def bare_answers(bootstrap: str, prefix: str, count: int, answers: int) -> Iterator[int]:
    """A loop over the same store: its process."""
    command = python("memory_take.py", "bare", bootstrap, prefix, count, answers)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while (line := process.stdout.readline()) != "ready\n":
                assert line, "the bare loop has ended"
            yield process.pid
        finally:
            process.kill()


def settle(bootstrap: str, prefix: str, count: int) -> None:
    """Waits until the worker has written the states that a filled log lacks: in a running mesh they are there."""
    topics = Topics(prefix)
    consumer, end = Consumer({"bootstrap.servers": bootstrap, "group.id": "settle"}), time.monotonic() + SETTLED_S
    try:
        while time.monotonic() < end:
            ends = (
                consumer.get_watermark_offsets(TopicPartition(topics.memory_state(), number), timeout=30)[1]
                for number in range(PARTITIONS)
            )
            if sum(ends) >= count:
                return
            time.sleep(0.2)
    finally:
        consumer.close()
    raise SystemExit(f"the worker has not written {count} states within {SETTLED_S:g} s")


def recall(say: Say, bootstrap: str, count: int, pairs: int) -> dict[str, Any]:
    """Recalls of words, as their asker sees them, of a worker that has nothing else to do."""
    prefix = "recall."
    told_nothing("memory_fill.py", bootstrap, prefix, count, 0)
    told("memory_recall.py", "none", bootstrap, prefix, 0, 1)  # makes the topics
    answers = sum((calls + WARM) * pairs for calls in CALLS.values())
    with memory_worker(bootstrap, prefix) as worker, bare_answers(bootstrap, prefix, count, answers) as bare:
        settle(bootstrap, prefix, count)
        found: dict[str, Any] = {"memories": count}
        processes = {"ours": worker, "bare": bare}
        for callers, calls in CALLS.items():
            found[f"{callers} at once"] = row = recalled(bootstrap, prefix, processes, (calls, callers), pairs)
            say(
                f"recall, {callers} at once: ours {row['ours']}, bare {row['bare']}, ratio of the medians "
                f"{row['ratio_p50']}, of the processor time {row['ratio_cpu']}; load {row['load']}"
            )
    return found


def recalled(
    bootstrap: str, prefix: str, processes: dict[str, int], asked: tuple[int, int], pairs: int
) -> dict[str, Any]:
    """Both in turn; of each the medians of its runs. ``asked``: so many calls, so many at once."""
    watch = Watch({"bench": os.getpid()})
    took: dict[str, list[list[float]]] = {"ours": [], "bare": []}
    used: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(pairs):
        for which in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
            busy = Watch({which: processes[which]})
            took[which].append(told("memory_recall.py", which, bootstrap, prefix, *asked))
            used[which].append(busy.report().cpu[which] / (asked[0] + WARM) * 1_000)
    row = loaded(watch)
    for which, runs in took.items():
        row[which] = {
            f"p{share}_ms": round(median(percentile(run, share / 100) for run in runs), 2) for share in (50, 99)
        }
        row[which]["cpu_ms"] = round(median(used[which]), 2)
    middles = {which: [percentile(run, 0.5) for run in runs] for which, runs in took.items()}
    row["ratio_p50"] = round(ratios(middles["ours"], middles["bare"]).median, 2)
    row["ratio_cpu"] = round(ratios(used["ours"], used["bare"]).median, 2)
    return row


def weaviate(say: Say, memories: int, searches: int, pairs: int) -> dict[str, Any]:
    """The view on a server beside a bare client."""
    if not (default_cache() / WEAVIATE).exists():
        say("weaviate is left out: AIOSV3_TEST_WEAVIATE=1 pytest tests/memory/views builds the server")
        return {"left_out": "no server in the cache"}
    sys.path[:0] = [str(HERE.parent)]
    import memory_weaviate
    from tests.memory.views.conftest import running_weaviate

    watch, runs = Watch({"bench": os.getpid()}), []
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder, running_weaviate(Path(folder)) as server:
        given = argparse.Namespace(
            url=server.address.url, grpc_port=server.address.grpc_port, memories=memories, searches=searches
        )
        runs = [asyncio.run(memory_weaviate.run(given)) for _ in range(pairs)]
    found = {name: round(median(float(str(run[name])) for run in runs), 3) for name in ("write_ratio", "search_ratio")}
    row = {"memories": memories, **found, "runs": runs, **loaded(watch)}
    words = f"writes {found['write_ratio']}, searches {found['search_ratio']} times a bare client"
    say(f"weaviate: {words}; load {row['load']}")
    return row


def measured(options: argparse.Namespace, say: Say) -> Iterator[tuple[str, Any]]:
    """The sections that were asked for, each with its name."""
    only = options.only or SECTIONS
    if "search" in only:
        yield "search", search(say, options.memories, options.searches)
    if "weaviate" in only:
        yield "weaviate", weaviate(say, 5_000, 200, options.pairs)
    if "ingest" not in only and "recall" not in only:
        return
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder:
        server = KafkaServer(Path(folder) / "kafka")
        server.start()
        try:
            if "ingest" in only:
                yield "ingest", ingest(say, server.bootstrap, options.count, options.pairs)
            if "recall" in only:
                yield "recall", recall(say, server.bootstrap, options.count, options.pairs)
        finally:
            server.stop()


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SECTIONS)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--count", type=int, default=50_000, help="events of a run")
    parser.add_argument("--memories", type=int, default=100_000, help="that are searched")
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    report(lambda say: measured(options, say), LIMITS, as_json=options.json)


if __name__ == "__main__":
    main()
