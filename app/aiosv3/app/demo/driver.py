"""The demo from beginning to end: stack up, tasks in, processes killed, everything counted, stack down."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aiosv3.app.demo import produce
from aiosv3.app.demo.declared import declared
from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.findings import Versions, model_label, write_csv
from aiosv3.app.demo.kills import Kill, Killer, plan
from aiosv3.app.demo.report import Report, make_report, render
from aiosv3.app.demo.stack import PROJECT_FILE, CommandLineStack, DemoFailed, Running, Stack, prepare
from aiosv3.app.demo.topiclog import Decoder, TopicLog, open_log
from aiosv3.app.projects import find_pools
from aiosv3.app.settings import PoolSettings, load_settings
from aiosv3.schemas.records import Completion, Decision
from aiosv3.schemas.topics import Topics

AGENT: Final = "licences"
_TOPIC_WAIT_S: Final = 60.0
_PRODUCER_S: Final = 5.0
_POLL_S: Final = 0.2
_QUIET_S: Final = 2.0
_STREAM_S: Final = 10.0
_SLOWEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``deadline_s``: from the first task sent; what has no result by then counts as lost."""

    folder: Path
    csv: Path
    seed: int = 1
    limit: int | None = None
    keep: bool = False
    deadline_s: float = 600.0


def run_demo(options: DemoOptions, *, as_json: bool = False, console: Console | None = None) -> int:
    """Runs everything and prints the report: 0 if nothing was lost, done twice or called again, else 1.

    Words go to stderr, the report to stdout. Raises :class:`DemoFailed` and what else has a name.
    """
    words = console or Console(stderr=True)
    words.print("[bold]1[/] A real Kafka, a schema registry, a router, agents, a model (the first time with downloads)")
    state = prepare(options.folder)
    settings = load_settings(options.folder / PROJECT_FILE)
    pools = find_pools(settings)
    for name, pool in pools.items():
        words.print(f"  {pool_words(name, pool)}")
    stack = CommandLineStack(options.folder)
    with _stack(stack, options, words) as running:
        topics = Topics(settings.kafka.prefix)
        decoder = Decoder(topics, new_run(), lock=state / "schemas.lock.json", registry=running.registry)
        mesh = _Mesh(running.bootstrap, topics, tuple(pools), decoder)
        try:
            report = _Job(options, stack, mesh, words).run()
        finally:
            decoder.close()
    write_csv(options.csv, report.lines)
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n")
    else:
        Console().print(render(report))
        words.print(f"All {len(report.lines)} lines, mismatches first: {options.csv}")
    return 0 if report.guarantees.kept else 1


@contextmanager
def _stack(stack: Stack, options: DemoOptions, words: Console) -> Iterator[Running]:
    up = False
    try:
        running = stack.up()
        up = True
        yield running
    finally:
        if up and options.keep:
            words.print(f"The stack is still up: aiosv3 down --project {options.folder / PROJECT_FILE}")
        else:
            stack.down()


def held_back(limit: int | None = None) -> Versions:
    """Version and declaration of every distribution that is sent: read here, never by the agent."""
    return {one.metadata["Name"]: (one.version, declared(one)) for one in produce.chosen(limit)}


def new_run() -> str:
    """A word that the ids of one run begin with, and of no other."""
    return f"r{uuid.uuid4().hex[:8]}"


def pool_words(name: str, pool: PoolSettings) -> str:
    """Who will be asked, and whether texts leave this machine for it."""
    where = "on this machine" if pool.kind == "local" or "127.0.0.1" in pool.base_url else "texts are sent to it"
    return f"pool {name}: {model_label(pool.model)}, {where}, up to {pool.clearance.label} data"


@dataclass(frozen=True, slots=True)
class _Mesh:
    """Where the run's records are."""

    bootstrap: str
    topics: Topics
    pools: tuple[str, ...]
    decoder: Decoder


class _Job:
    """One run on a stack that is up."""

    def __init__(self, options: DemoOptions, stack: Stack, mesh: _Mesh, words: Console) -> None:
        self._options = options
        self._mesh = mesh
        self._words = words
        self._answers = held_back(options.limit)
        self._acks = options.folder / "acknowledged.tsv"
        kills = plan(options.seed, len(self._answers))
        self._killer = Killer(kills, stack.processes, self._told, seed=options.seed)

    def run(self) -> Report:
        """Sends, watches, kills, waits, counts."""
        count = len(self._answers)
        self._words.print(f"[bold]2[/] {count} distributions: one task each, its licence text without its declaration")
        began = time.monotonic()
        with open_log(self._mesh.bootstrap, self._mesh.topics.results(AGENT), wait_s=_TOPIC_WAIT_S) as results:
            with self._producer(count) as producer:
                raws = self._watch(results, count, began + self._options.deadline_s)
                sent = _ended(producer)
            took = time.monotonic() - began
            raws += quiet(results, _QUIET_S)
        if sent != 0:
            words = "was still sending at the deadline" if sent is None else f"ended with {sent}"
            raise DemoFailed(f"the producer {words}: not all tasks were sent")
        self._words.print("[bold]3[/] Counting, from the topics alone")
        return make_report(self._records(raws, acknowledged(self._acks)), self._answers, self._killer.look_back(), took)

    @contextmanager
    def _producer(self, count: int) -> Iterator[subprocess.Popen[bytes]]:
        """The plain script, as a process of its own; events come as a stream, so that kills fall into it."""
        rate = max(_SLOWEST, count / _STREAM_S)
        command = [sys.executable, produce.__file__, "--bootstrap", self._mesh.bootstrap]
        command += ["--run", self._mesh.decoder.run, "--topic", self._mesh.topics.tasks(AGENT)]
        command += ["--rate", f"{rate:.1f}"]
        if self._options.limit is not None:
            command += ["--limit", str(self._options.limit)]
        self._acks.parent.mkdir(parents=True, exist_ok=True)
        with self._acks.open("wb") as acks:
            process = subprocess.Popen(  # noqa: S603 -- our own script, no shell
                command, stdin=subprocess.DEVNULL, stdout=acks
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _watch(self, results: TopicLog, count: int, deadline: float) -> list[Any]:
        with Progress(
            TextColumn("  results"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self._words
        ) as bar:
            shown = bar.add_task("results", total=count)

            def seen(number: int) -> None:
                bar.update(shown, completed=number)
                self._killer.due(number)

            return watch(results, self._mesh.decoder, count, deadline, seen)

    def _told(self, kill: Kill) -> None:
        self._words.print(f"  [red]kill -9[/] {kill.name} (pid {kill.pid}) after {kill.seen} results")

    def _records(self, results: list[Any], sent: list[str]) -> Records:
        decoder, topics = self._mesh.decoder, self._mesh.topics
        return Records(
            tasks=decoder.tasks(self._all(topics.tasks(AGENT))),
            results=decoder.results(results),
            decisions=decoder.records(Decision, self._all(topics.decisions())),
            completions=[
                entry
                for pool in self._mesh.pools
                for entry in decoder.records(Completion, self._all(topics.completions(pool)))
            ],
            sent=sent,
        )

    def _all(self, topic: str) -> list[Any]:
        with open_log(self._mesh.bootstrap, topic, wait_s=_TOPIC_WAIT_S) as log:
            return log.to_end()


def acknowledged(acks: Path) -> list[str]:
    """The task ids that the broker acknowledged, as the producer printed them."""
    return [line.partition("\t")[0] for line in acks.read_text(encoding="utf-8").splitlines()]


def _ended(producer: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None if it is still sending when all should be over."""
    try:
        return producer.wait(_PRODUCER_S)
    except subprocess.TimeoutExpired:
        return None


def watch(results: TopicLog, decoder: Decoder, count: int, deadline: float, seen: Callable[[int], None]) -> list[Any]:
    """Reads results until ``count`` tasks have one or the deadline (monotonic seconds) is over; all raw records."""
    raws: list[Any] = []
    done: set[str] = set()
    while len(done) < count and time.monotonic() < deadline:
        fresh = results.fresh(_POLL_S)
        raws += fresh
        done.update(entry.value.task_id for entry in decoder.results(fresh))
        seen(len(done))
    return raws


def quiet(results: TopicLog, quiet_s: float) -> list[Any]:
    """What still comes, until nothing has come for ``quiet_s`` seconds: late copies are counted, not missed."""
    raws: list[Any] = []
    while fresh := results.fresh(quiet_s):
        raws += fresh
    return raws
