"""``make bench-router``: what routing costs, in pairs, in one run. Prints a table; with ``--json`` one document.

    python bench/router_bench.py [--only decision step streams calls] [--peers] [--replicas 3] [--pairs 3] [--json]

``decision``: processor time of a decision among ten pools. ``step``: of all that a router does with one request, beside
copying it. ``streams``: what a model worker adds to a streamed call. ``calls``: a routed, durable model call as its
caller sees it; with ``--peers`` beside the gateways of others, which are installed the first time (some 900 MB).

Machines are shared and noisy: read the ratios; the load stands beside each figure.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import decisions
import worker_streams
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, but not "as"
from hops import Hops, hops_lines
from measures import Spread, Watch, ratios, report
from peers import PEERS, NotHere
from router_calls import Way, direct, lines, ours, rounds, script, slow_endpoint

from aiosv3.app.localstack.cluster import KafkaCluster
from aiosv3.app.localstack.kafka import KafkaServer

SECTIONS = ("decision", "step", "streams", "calls")
LIMITS = {
    "decision_us": 50,
    "step_ratio": 1.5,
    "stream_added_ms": 1.0,
    "added_ms": {"1": 4, "64": 15},
    "calls_s": 900,
    "hops": {"p50": 2.5, "p99": 3},
}
Say = Callable[[str], None]


def decision(say: Say, _pairs: int) -> dict[str, Any]:
    """Microseconds of a decision."""
    watch = Watch({"decisions": os.getpid()})
    found = {name: round(took, 1) for name, took in decisions.figures().items()}
    busy = watch.report()
    for name, took in found.items():
        say(f"decision, {name:24} {took:6.1f} µs CPU; {busy.words()}")
    return {"us": found, "load": busy.load, "others_share": round(busy.others, 3)}


def cpu_us(name: str, *arguments: object) -> float:
    """Microseconds a record, as a script tells them at its end."""
    told: dict[str, float] = json.loads(script(name, *arguments).splitlines()[-1])
    return told["cpu_us"]


def step_round(bootstrap: str, prefix: str, count: int, *, backwards: bool) -> dict[str, float]:
    """Microseconds a record of each kind of step, one after the other over the same records."""
    bare = {1: f"{prefix}bare1", 2: f"{prefix}bare2"}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, 1) for name in bare.values()]).values():
        future.result()
    script("router_fill.py", bootstrap, prefix, count)
    source = f"{prefix}prompts"
    work: dict[str, Callable[[], float]] = {
        "router": lambda: cpu_us("router_step.py", "router", bootstrap, prefix, count),
        "copy": lambda: cpu_us("router_step.py", "copy", bootstrap, prefix, count),
        "bare": lambda: cpu_us("bare_copy.py", bootstrap, source, bare[1], count, 1),
        "bare, written twice": lambda: cpu_us("bare_copy.py", bootstrap, source, bare[2], count, 2),
    }
    return {name: work[name]() for name in (reversed(work) if backwards else work)}


def step(say: Say, bootstrap: str, pairs: int, count: int) -> dict[str, Any]:
    """A router's step beside copying the record."""
    watch = Watch({"bench": os.getpid()})
    runs = [step_round(bootstrap, f"step{n}.", count, backwards=bool(n % 2)) for n in range(pairs)]
    busy = watch.report()
    found: dict[str, Any] = {"records": count, "load": busy.load, "others_share": round(busy.others, 3)}
    routers = [run["router"] for run in runs]
    for name in runs[0]:
        took, ratio = [run[name] for run in runs], ratios(routers, [run[name] for run in runs])
        found[name] = {"us": round(Spread.of(took).median, 1), "router_over_it": round(ratio.median, 2)}
        say(f"step, {name:20} {Spread.of(took).words(1)} µs CPU; router's step over it {ratio.words()}; {busy.words()}")
    return found


def streamed(say: Say, pairs: int) -> list[dict[str, Any]]:
    """What a model worker adds."""
    found = []
    for row in worker_streams.figures(pairs):
        say(worker_streams.words(row))
        found.append(row)
    return found


def calls(say: Say, brokers: Brokers, pairs: int, *, peers: bool, share: float) -> dict[str, Any]:
    """A whole call as its caller sees it."""
    hops, left_out = Hops(brokers.bootstrap), {}
    with ExitStack() as stack:
        port, endpoint = stack.enter_context(slow_endpoint())
        ways: list[Way] = [direct(port)]
        ways += [stack.enter_context(ours(brokers.bootstrap, port, priced=priced)) for priced in (False, True)]
        for peer in PEERS if peers else ():
            try:
                ways.append(stack.enter_context(peer.way(peer.ready(), brokers.bootstrap, port)))
            except NotHere as why:
                left_out[peer.name] = str(why)
                say(f"{peer.name} {peer.version} is left out: {why}")
        besides = {"endpoint": endpoint} | brokers.processes()
        found, rows_of_hops = {}, {}
        for callers, rows in rounds(ways, pairs, besides, share, hops.measure):
            found[str(callers)] = rows
            for line in lines(callers, rows):
                say(line)
            if callers == 1:
                rows_of_hops = hops.rows(rows["aiosv3"])
                for line in hops_lines(rows_of_hops):
                    say(line)
    versions = {peer.name: peer.version for peer in PEERS}
    return {
        "replicas": brokers.replicas,
        "callers": found,
        "hops": rows_of_hops,
        "left_out": left_out,
        "versions": versions,
    }


class Brokers(NamedTuple):
    """What a run has: one node, or three that replicate everything and acknowledge what two of them have."""

    servers: Sequence[KafkaServer]
    bootstrap: str

    @property
    def replicas(self) -> int:
        return len(self.servers)

    def processes(self) -> dict[str, int]:
        """Of each node that runs."""
        found = {server.folder.name: server.process() for server in self.servers}
        return {name: process.pid for name, process in found.items() if process is not None}


@contextmanager
def brokers(folder: Path, replicas: int) -> Iterator[Brokers]:
    """Started, and ended."""
    server: KafkaServer | KafkaCluster = KafkaServer(folder / "broker") if replicas == 1 else KafkaCluster(folder)
    try:
        bootstrap = server.start()
        yield Brokers(server.nodes if isinstance(server, KafkaCluster) else [server], bootstrap)
    finally:
        server.stop()


def measured(options: argparse.Namespace, say: Say) -> Iterator[tuple[str, Any]]:
    """The sections that were asked for, each with its name."""
    only = options.only or SECTIONS
    if "decision" in only:
        yield "decision", decision(say, options.pairs)
    if "streams" in only:
        yield "streams", streamed(say, options.pairs)
    if "step" not in only and "calls" not in only:
        return
    folder = tempfile.TemporaryDirectory(prefix="aiosv3-bench-")
    with folder as place, brokers(Path(place), options.replicas) as started:
        if "step" in only:
            yield "step", step(say, started.bootstrap, options.pairs, options.count)
        if "calls" in only:
            yield "calls", calls(say, started, options.pairs, peers=options.peers, share=options.share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SECTIONS)
    parser.add_argument("--peers", action="store_true", help="beside LiteLLM, Portkey and Calfkit")
    parser.add_argument("--replicas", type=int, choices=(1, 3), default=1, help="of each record, on as many brokers")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000, help="requests of a step's run")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of calls")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    report(lambda say: measured(options, say), LIMITS, as_json=options.json)


if __name__ == "__main__":
    main()
