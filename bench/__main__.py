"""``make bench``: the runtime against bare confluent-kafka, in pairs, in one run on one broker. Prints a table.

    python bench [--count 20000] [--pairs 5] [--calls 300]

Machines are shared and noisy: read the ratios; absolute figures stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, but not "as"

from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.schemas.state import Projection

HERE = Path(__file__).parent
PARTS = (
    "conversation",
    "state",
    "restore",
    "noop",
    "steps",
    "hops",
    "in-flight",
    "keyed",
    "rebalance",
    "parking",
    "routed",
)
sys.path[:0] = [str(HERE), *(str(HERE.parent / "tests" / name) for name in ("process", "simulation"))]

from conversation_run import Talk, a_task_a_turn, one_task, one_task_inline, without_memory  # noqa: E402
from counting_endpoint import CountingEndpoint  # noqa: E402 -- shared with the crash test
from measures import started  # noqa: E402


def script(name: str, *arguments: object) -> list[float]:
    """Runs a script of this folder and returns the numbers that it printed."""
    done = subprocess.run(
        [sys.executable, str(HERE / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return [float(word) for word in done.stdout.split()]


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def topics(bootstrap: str, *names: str) -> None:
    """Creates topics of one partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, 1) for name in names]).values():
        future.result()


def imports(repeats: int) -> None:
    """CPU of ``import aiosv3.agents`` beside that of ``import pydantic``, which it cannot do without."""
    code = "import time; t = time.process_time(); import {}; print((time.process_time() - t) * 1e3)"
    both = {
        name: min(
            float(subprocess.check_output([sys.executable, "-c", code.format(name)], text=True)) for _ in range(repeats)
        )
        for name in ("aiosv3.agents", "pydantic")
    }
    print(
        f"import aiosv3.agents: {both['aiosv3.agents']:.0f} ms CPU; import pydantic alone {both['pydantic']:.0f} ms",
        flush=True,
    )


def noop(bootstrap: str, count: int, pairs: int) -> None:
    """CPU a no-op task, ours against the bare loop."""
    ours, bare = [], []
    for number in range(pairs):
        prefix = f"noop{number}."
        script("fill.py", bootstrap, prefix, count)
        topics(bootstrap, f"{prefix}sink")
        ours += script("our_loop.py", bootstrap, prefix, count)
        bare += script("bare_loop.py", bootstrap, f"{prefix}tasks.noop", f"{prefix}sink", count)
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    print(
        f"no-op task, Avro both ways, nine headers: {statistics.median(ours):.0f} µs CPU; bare loop "
        f"{statistics.median(bare):.0f} µs; ratio {statistics.median(ratios):.2f} "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f}, {pairs} pairs of {count} tasks)",
        flush=True,
    )


def steps(bootstrap: str, repeats: int) -> None:
    """Three durable steps: what a caller sees of one, and how many a worker gets done."""
    runs = [script("steps.py", bootstrap, f"steps{number}.", 200, 1_000) for number in range(repeats)]
    p50, p99, rate, cpu = (statistics.median(run[place] for run in runs) for place in range(4))
    print(
        f"three steps of 1 KiB by ctx.run, one worker: p50 {p50:.1f} ms, p99 {p99:.1f} ms one after the other; "
        f"{rate:.0f} workflows/s, {cpu:.0f} µs CPU each with 50 at a time, caller included (median of {repeats})",
        flush=True,
    )


def hops(bootstrap: str, repeats: int) -> None:
    """What a step takes, beside a record that is produced and consumed, one after the other."""
    runs: dict[str, list[float]] = {"none": [], "one": [], "three": [], "hop": []}
    for number in range(repeats):
        for steps_, name in ((0, "none"), (1, "one"), (3, "three")):
            runs[name].append(script("steps.py", bootstrap, f"hops{number}.{name}.", 200, 50, steps_)[0])
        prefix = f"hops{number}."
        topics(bootstrap, *(f"{prefix}hop{place}" for place in range(3)))
        runs["hop"].append(percentile(script("bare_hops.py", bootstrap, prefix, 200)[20:], 0.5) / 3)
    step = [one - none for one, none in zip(runs["one"], runs["none"], strict=True)]
    middle = statistics.median
    ratio = middle(each / hop for each, hop in zip(step, runs["hop"], strict=True))
    whole = middle(three / (5 * hop) for three, hop in zip(runs["three"], runs["hop"], strict=True))
    print(
        f"ctx.run adds {middle(step):.1f} ms to a task of {middle(runs['none']):.1f} ms, a bare produce and consume "
        f"takes {middle(runs['hop']):.1f} ms: ratio {ratio:.2f}; three steps of 1 KiB take {middle(runs['three']):.1f} "
        f"ms, over their five hops (task, three values, result) {whole:.2f} (p50, median of {repeats})",
        flush=True,
    )


def restore(repeats: int) -> None:
    """Open tasks with a journal, taken over by another owner, on a log in memory."""
    tasks = 1_000
    runs = [script("restore.py", tasks) for _ in range(repeats)]
    each, bare, whole = (statistics.median(run[place] for run in runs) for place in range(3))
    print(
        f"restore of {tasks:,} open tasks of ten steps: {whole:.0f} ms CPU; a journal record {each:.0f} µs with its "
        f"step replayed, {bare:.1f} µs only decoded (median of {repeats})",
        flush=True,
    )


def in_flight(bootstrap: str, repeats: int) -> None:
    """Efficiency with many tasks waiting."""
    for waiting, rounds in ((1_000, 20), (5_000, 6)):
        runs = [
            script("in_flight.py", bootstrap, f"wait{waiting}-{n}.", "waits", waiting, rounds) for n in range(repeats)
        ]
        efficiency = statistics.median(run[0] for run in runs)
        cpu = statistics.median(run[2] for run in runs)
        print(
            f"{waiting:,} tasks in flight of 0.5 s, one process: {efficiency:.0%} of the ideal, "
            f"{cpu:.0f} µs CPU a task (median of {repeats})",
            flush=True,
        )


def keyed(bootstrap: str, repeats: int) -> None:
    """Tasks in the order of their keys, each of a tenth of a second."""
    for keys in (100, 1_000):
        runs = [script("in_flight.py", bootstrap, f"keyed{keys}-{n}.", "keyed", keys, 20) for n in range(repeats)]
        efficiency, rate, cpu = (statistics.median(run[place] for run in runs) for place in range(3))
        print(
            f"{keys:,} keys, one task of 0.1 s of each at a time, one process: {efficiency:.0%} of keys over latency, "
            f"{rate:,.0f} tasks/s, {cpu:.0f} µs CPU a task (median of {repeats})",
            flush=True,
        )


def rebalance(bootstrap: str) -> None:
    """One round with calls of 40 s in flight; ``bench/rebalance.py`` makes several."""
    done = subprocess.run(
        [sys.executable, str(HERE / "rebalance.py"), "--bootstrap", bootstrap, "--rounds", "1"], check=False
    )
    if done.returncode:
        raise SystemExit("rebalance.py failed")


def parking(bootstrap: str, pairs: int) -> None:
    """What 10,000 parked tasks cost: memory, and what a no-op task and the loop feel of them."""
    count = 10_000
    (each,) = script("parking.py", bootstrap, "parkbytes.", count, "bytes")
    runs = [script("parking.py", bootstrap, f"park{number}.", count) for number in range(pairs)]
    figures = [statistics.median(run[place] for run in runs) for place in range(9)]
    before, late, after, later = figures[0:2], figures[2:4], figures[4:6], figures[6:8]
    print(
        f"{count:,} parked tasks: {each / 1024:.1f} KiB each; no-op task p50 {after[0]:.1f} ms, p99 {after[1]:.1f} ms "
        f"with them, {before[0]:.1f} and {before[1]:.1f} without; a timer of the loop late by p50 {later[0]:.2f} ms, "
        f"p99 {later[1]:.2f} ms with them, {late[0]:.2f} and {late[1]:.2f} without; restored in {figures[8]:.1f} s "
        f"(median of {pairs})",
        flush=True,
    )


def conversation() -> None:
    """What a hundred calls of a conversation that grows to 800 kB leave on all topics and in the claim store."""
    for talk in (Talk(), Talk(said=4_000, answered=4_000)):
        runs = {run.__name__: run(talk).total for run in (one_task, a_task_a_turn, without_memory, one_task_inline)}
        times = {name: total / talk.payload for name, total in runs.items()}
        print(
            f"{talk.calls} calls, conversation of {talk.payload / 1e3:.0f} kB ({talk.said} + {talk.answered} bytes a "
            f"call): everything stored is {times['one_task']:.2f} times that in one task, {times['a_task_a_turn']:.2f} "
            f"with a task a turn (the same calls without a memory: {times['without_memory']:.2f}); with all of it in "
            f"each prompt {times['one_task_inline']:.0f}",
            flush=True,
        )


def state_table(keys: int) -> None:
    """Memory that a worker needs for each key of its partitions, beside the bytes of key and state."""
    sizes = (len("customer-0000000"), 200)
    tracemalloc.start()
    table = {f"customer-{number:07}": Projection(number, bytes(sizes[1])) for number in range(keys)}
    held = tracemalloc.get_traced_memory()[0] / len(table)
    tracemalloc.stop()
    print(f"state of a key in memory: {held - sum(sizes):.0f} bytes beside key and value ({keys:,} keys)", flush=True)


PROJECT = """
[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = 1
[pools.counted]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "counted"
clearance = "restricted"
"""


def routed(bootstrap: str, calls: int) -> None:
    """A durable routed model call, minus the endpoint's own time, against three bare hops."""
    prefix = "routed."
    endpoint = CountingEndpoint(delay=0.0)
    endpoint.start()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "aiosv3.toml"
        project.write_text(PROJECT.format(bootstrap=bootstrap, prefix=prefix, port=endpoint.port), encoding="utf-8")
        worker = [sys.executable, "-m", "aiosv3.app", "worker"]
        quiet = subprocess.DEVNULL
        running = [
            subprocess.Popen([*worker, "router", "-p", str(project)], stdout=quiet, stderr=quiet, text=True),
            subprocess.Popen([*worker, "pool", "counted", "-p", str(project)], stdout=quiet, stderr=quiet, text=True),
            subprocess.Popen(
                [sys.executable, str(HERE / "routed_worker.py"), str(project)], stdout=subprocess.PIPE, text=True
            ),
        ]
        try:
            took = _sequential(bootstrap, prefix, calls, running[2])
        finally:
            for process in running:
                process.kill()
                process.wait()
    own = [1_000 * (a.answered_s - a.at_s) for arrivals in endpoint.calls.values() for a in arrivals if a.answered_s]
    topics(bootstrap, *(f"{prefix}hop{number}" for number in range(3)))
    hops = script("bare_hops.py", bootstrap, prefix, calls)[calls // 10 :]
    took = took[calls // 10 :]
    middle = statistics.median(own)
    p50, p99 = percentile(took, 0.5) - middle, percentile(took, 0.99) - middle
    bare50, bare99 = percentile(hops, 0.5), percentile(hops, 0.99)
    print(
        f"routed model call, endpoint's own {middle:.1f} ms taken off: p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
        f"three bare hops p50 {bare50:.1f} ms, p99 {bare99:.1f} ms; "
        f"ratio {p50 / bare50:.1f} and {p99 / bare99:.1f} ({calls} calls)",
        flush=True,
    )


def _sequential(bootstrap: str, prefix: str, calls: int, worker: subprocess.Popen[str]) -> list[float]:
    """One task after the other: the next is sent when the result of the last one is there."""
    _wait_for_topic(bootstrap, f"{prefix}results.asks")
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    results = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-results"})
    results.assign([TopicPartition(f"{prefix}results.asks", 0, 0)])
    took = []
    for number in range(calls):
        ticket = {"id": str(number), "customer": "c", "text": f"question {number}", "priority": 1, "amount": 1.0}
        producer.produce(f"{prefix}tasks.asks", json.dumps(ticket).encode(), str(number).encode(), 0)
        producer.flush(10)
        while (message := results.poll(60.0)) is None or message.error() is not None:
            if message is None:
                raise SystemExit("no result in a minute")
        assert worker.stdout is not None
        took.append(float(worker.stdout.readline()))
    results.close()
    return took


def _wait_for_topic(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 60
    while topic not in admin.list_topics(timeout=10).topics:
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic} did not appear")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="", help="an idle broker; default: one is started")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    few = max(1, options.pairs // 2)
    alone: dict[str, Callable[[], None]] = {
        "conversation": conversation,
        "state": lambda: state_table(100_000),
        "restore": lambda: restore(options.pairs),
    }
    brokered: dict[str, Callable[[str], None]] = {
        "noop": lambda bootstrap: noop(bootstrap, options.count, options.pairs),
        "steps": lambda bootstrap: steps(bootstrap, few),
        "hops": lambda bootstrap: hops(bootstrap, few),
        "in-flight": lambda bootstrap: in_flight(bootstrap, few),
        "keyed": lambda bootstrap: keyed(bootstrap, few),
        "rebalance": rebalance,
        "parking": lambda bootstrap: parking(bootstrap, few),
        "routed": lambda bootstrap: routed(bootstrap, options.calls),
    }
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}", flush=True)
    for name, measure in alone.items():
        if options.only in (None, name):
            measure()
    if options.only in alone:
        return
    imports(options.pairs)
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder:
        server = None if options.bootstrap else KafkaServer(Path(folder) / "kafka")
        bootstrap = options.bootstrap if server is None else started(server)
        try:
            for name, on_broker in brokered.items():
                if options.only in (None, name):
                    on_broker(bootstrap)
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    main()
