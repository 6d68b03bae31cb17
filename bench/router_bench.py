"""``make bench-router``: what routing costs, in pairs, in one run. Prints a table; with ``--json`` one document.

    python bench/router_bench.py [--only decision step streams calls] [--peers] [--pairs 3] [--json]

``decision``: processor time of a decision among ten pools. ``step``: of all that a router does with one request, beside
copying it. ``streams``: what a model worker adds to a streamed call. ``calls``: a routed, durable model call as its
caller sees it; with ``--peers`` beside the gateways of others, which are installed the first time (some 900 MB).

Machines are shared and noisy: read the ratios; the load stands beside each figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import decisions
import worker_streams
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, but not "as"
from measures import Spread, Watch, ratios, report
from peers import PEERS, NotHere
from router_calls import Way, direct, lines, ours, python, rounds, slow_endpoint

from aiosv3.app.localstack.kafka import KafkaServer

SECTIONS = ("decision", "step", "streams", "calls")
LIMITS = {"decision_us": 50, "step_ratio": 1.5, "stream_added_ms": 1.0, "added_ms": {"1": 4, "64": 15}, "calls_s": 900}
Say = Callable[[str], None]


def decision(say: Say, _pairs: int) -> dict[str, Any]:
    """Microseconds of a decision."""
    watch = Watch({"decisions": os.getpid()})
    found = {name: round(took, 1) for name, took in decisions.figures().items()}
    busy = watch.report()
    for name, took in found.items():
        say(f"decision, {name:24} {took:6.1f} µs CPU; {busy.words()}")
    return {"us": found, "load": busy.load, "others_share": round(busy.others, 3)}


def script(name: str, *arguments: object) -> str:
    """Runs a script of this folder and returns what it printed."""
    done = subprocess.run(python(name, *arguments), capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return done.stdout


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


def calls(say: Say, server: KafkaServer, pairs: int, *, peers: bool, share: float) -> dict[str, Any]:
    """A whole call as its caller sees it."""
    process, left_out = server.process(), {}
    with ExitStack() as stack:
        port, endpoint = stack.enter_context(slow_endpoint())
        ways: list[Way] = [direct(port)]
        ways += [stack.enter_context(ours(server.bootstrap, port, priced=priced)) for priced in (False, True)]
        for peer in PEERS if peers else ():
            try:
                ways.append(stack.enter_context(peer.way(peer.ready(), server.bootstrap, port)))
            except NotHere as why:
                left_out[peer.name] = str(why)
                say(f"{peer.name} {peer.version} is left out: {why}")
        besides = {"endpoint": endpoint} | ({} if process is None else {"broker": process.pid})
        found = {}
        for callers, rows in rounds(ways, pairs, besides, share):
            found[str(callers)] = rows
            for line in lines(callers, rows):
                say(line)
    return {"callers": found, "left_out": left_out, "versions": {peer.name: peer.version for peer in PEERS}}


def measured(options: argparse.Namespace, say: Say) -> Iterator[tuple[str, Any]]:
    """The sections that were asked for, each with its name."""
    only = options.only or SECTIONS
    if "decision" in only:
        yield "decision", decision(say, options.pairs)
    if "streams" in only:
        yield "streams", streamed(say, options.pairs)
    if "step" not in only and "calls" not in only:
        return
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder:
        server = KafkaServer(Path(folder) / "kafka")
        server.start()
        try:
            if "step" in only:
                yield "step", step(say, server.bootstrap, options.pairs, options.count)
            if "calls" in only:
                yield "calls", calls(say, server, options.pairs, peers=options.peers, share=options.share)
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SECTIONS)
    parser.add_argument("--peers", action="store_true", help="beside LiteLLM, Portkey and Calfkit")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000, help="requests of a step's run")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of calls")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    report(lambda say: measured(options, say), LIMITS, as_json=options.json)


if __name__ == "__main__":
    main()
