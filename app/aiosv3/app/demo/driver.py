"""The demo from beginning to end: stack up, tasks in, processes killed, everything counted, stack down."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from aiosv3.app.commands.startview import StartView
from aiosv3.app.demo import comparison, produce, twin
from aiosv3.app.demo.calls import LOG_NAME, NAIVE, OURS, read_calls
from aiosv3.app.demo.declared import declared
from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.findings import Versions, model_label, write_csv
from aiosv3.app.demo.followers import Follower, Seen, Settling
from aiosv3.app.demo.keys import Keyboard
from aiosv3.app.demo.kills import Killer, for_naive, plan
from aiosv3.app.demo.race import Lane, Race, Sending, Stopped
from aiosv3.app.demo.report import Report, make_report, render
from aiosv3.app.demo.sides import ResultRecord
from aiosv3.app.demo.stack import PROJECT_FILE, LocalStack, Running, Stack, prepare
from aiosv3.app.demo.topiclog import Decoder, Raw, open_log
from aiosv3.app.demo.view import Lines, Screen, View, picture
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.progress import Progress
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Addresses
from aiosv3.app.projects import check_local_runtime, find_pools
from aiosv3.app.settings import PoolSettings, Settings, load_settings
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Completion, Decision
from aiosv3.schemas.topics import Topics

AGENT: Final = "licences"
STOPPED: Final = 130
_TOPIC_WAIT_S: Final = 60.0
_TWIN_QUIET_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``deadline_s``: from the first task sent; what has no result by then counts as lost."""

    folder: Path
    csv: Path
    seed: int = 1
    limit: int | None = None
    keep: bool = False
    deadline_s: float = 600.0
    twin: bool = True
    svg: Path | None = None


def run_demo(options: DemoOptions, *, as_json: bool = False, console: Console | None = None) -> int:
    """Runs everything and prints the report: 0 if ours lost nothing, did nothing twice and called nothing again.

    Else 1; 130 if somebody stopped it. Words go to stderr, the report to stdout. Raises ``DemoFailed`` and what else
    has a name.
    """
    words = console or Console(stderr=True)
    words.print("[bold]1[/] A real Kafka, a schema registry, a router, agents, a model (the first time with downloads)")
    setup = Setup.of(options, prepare(options.folder))
    for name, pool in setup.pools.items():
        words.print(f"  {pool_words(name, pool)}", highlight=False)
    if options.twin and not setup.twin:
        words.print("  no naive loop: it would send confidential texts to a pool that may see only public ones")
    try:
        with StartView(words) as start, _up(setup.stack(start), options, words) as running:
            report, race = Job(setup, running, words).run()
    except Stopped:
        words.print("Stopped; nothing was counted.")
        return STOPPED
    write_csv(options.csv, report.lines)
    if options.svg is not None and race.last is not None:
        title = f"aiosv3 demo --seed {options.seed}"
        comparison.write_svg(options.svg, [picture(race.last), report.side_by_side()], title)
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n")
    else:
        Console().print(render(report))
        words.print(f"All {len(report.lines)} lines, mismatches first: {options.csv}")
    return 0 if report.guarantees.kept else 1


@contextmanager
def _up(stack: Stack, options: DemoOptions, words: Console) -> Iterator[tuple[Stack, Running]]:
    up = False
    try:
        running = stack.up()
        up = True
        yield stack, running
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
class Setup:
    """What is decided before anything is started. ``twin``: whether the naive loop runs."""

    options: DemoOptions
    settings: Settings
    state: Path
    pools: Mapping[str, PoolSettings]
    port: int
    twin: bool

    @classmethod
    def of(cls, options: DemoOptions, state: Path) -> Setup:
        """Raises ``SettingsError``."""
        settings = load_settings(options.folder / PROJECT_FILE)
        pools = find_pools(settings)
        for name, pool in pools.items():
            check_local_runtime(name, pool)
        local = any(produce.is_local(one) for one in produce.chosen(options.limit))
        highest = Clearance.CONFIDENTIAL if local else Clearance.PUBLIC
        return cls(options, settings, state, pools, free_port(), options.twin and twin.sees_everything(pools, highest))

    @property
    def calls(self) -> Path:
        """Where the model's endpoint writes down what it is asked."""
        return self.state / LOG_NAME

    @property
    def topics(self) -> Topics:
        """The names of the run's topics."""
        return Topics(self.settings.kafka.prefix)

    def stack(self, progress: Progress) -> LocalStack:
        """The project's own processes, with the model and the twin beside them."""
        fetches = any(pool.kind == "local" for pool in self.pools.values())
        metered = twin.behind_meter(self.pools, self.port)
        return LocalStack(self.settings, metered, self._beside, fetches=fetches, progress=progress)

    def _beside(self, addresses: Addresses) -> list[ProcessSpec]:
        logs = self.state / "logs"
        project = self.options.folder.resolve() / PROJECT_FILE
        specs = [twin.model_spec(self.pools, self.port, project, self.calls, logs)]
        if self.twin:
            count, tasks = self.settings.up.agents, self.topics.tasks(AGENT)
            specs += twin.naive_specs(count, addresses.kafka, tasks, self.pools, self.port, logs)
        return specs


class Job:
    """One run on a stack that is up."""

    def __init__(self, setup: Setup, up: tuple[Stack, Running], words: Console) -> None:
        self._setup = setup
        self._stack, running = up
        self._bootstrap = running.bootstrap
        self._words = words
        self._answers = held_back(setup.options.limit)
        self._run = new_run()
        self._decoder = Decoder(
            setup.topics, self._run, lock=setup.state / "schemas.lock.json", registry=running.registry
        )

    def run(self) -> tuple[Report, Race]:
        """Sends, watches, kills, waits, counts."""
        count, options, topics = len(self._answers), self._setup.options, self._setup.topics
        self._words.print(f"[bold]2[/] {count} distributions: one task each, its licence text without its declaration")
        acks = options.folder / "acknowledged.tsv"
        sending = Sending(self._bootstrap, topics.tasks(AGENT), self._run, acks, count, options.limit)
        with ExitStack() as opened:
            opened.callback(self._decoder.close)
            view = self._view()
            lanes = self._lanes(opened, view, count)
            race = Race(lanes, self._stack.processes, self._setup.calls, view)
            race.run(sending, options.deadline_s)
            self._words.print("[bold]3[/] Counting, from the topics and from what the model was asked")
            return self._report(lanes, sending.acknowledged(), race), race

    def _view(self) -> View:
        if self._words.is_terminal and sys.stdin is not None and sys.stdin.isatty():
            return Screen(self._words, Keyboard())
        return Lines(self._words)

    def _lanes(self, opened: ExitStack, view: View, count: int) -> list[Lane]:
        seed = self._setup.options.seed
        kills = plan(seed, count)
        results = opened.enter_context(self._open(self._setup.topics.results(AGENT)))
        ours = Follower(OURS, results, self._read_ours)
        lanes = [Lane(ours, Killer(kills, self._stack.processes, view.told, seed=seed))]
        if self._setup.twin:
            partitions = self._setup.settings.kafka.partitions
            twin.create_results(self._bootstrap, partitions)
            twin.wait_joined(self._bootstrap, self._setup.settings.up.agents)
            backlog = twin.Backlog(self._bootstrap, self._setup.topics.tasks(AGENT), partitions)
            opened.callback(backlog.close)
            naive = Follower(NAIVE, opened.enter_context(self._open(twin.RESULTS_TOPIC)), self._read_naive)
            killer = Killer(for_naive(kills), self._stack.processes, view.told, seed=seed)
            lanes.append(Lane(naive, killer, Settling(backlog.is_empty, _TWIN_QUIET_S)))
        return lanes

    def _open(self, topic: str) -> Any:
        return open_log(self._bootstrap, topic, wait_s=_TOPIC_WAIT_S)

    def _read_ours(self, raws: list[Raw]) -> list[Seen]:
        seen = []
        for entry in self._decoder.results(raws):
            result = entry.value
            said = "failed" if result.content is None else f"{result.content.licence} ({result.content.by})"
            name = result.task_id.partition(".")[2]
            seen.append(Seen(ResultRecord(result.task_id, entry.timestamp), f"{name}: {said}"))
        return seen

    def _read_naive(self, raws: list[Raw]) -> list[Seen]:
        return [
            Seen(ResultRecord(f"{self._run}.{result['distribution']}", raw.timestamp), twin.words(result))
            for raw, result in twin.read_results(raws)
        ]

    def _report(self, lanes: list[Lane], acknowledged: list[str], race: Race) -> Report:
        records = self._records(lanes[0].follower.raws, acknowledged)
        return make_report(
            records,
            self._answers,
            [(lane.follower.name, lane.follower.records, lane.killer.look_back()) for lane in lanes],
            read_calls(self._setup.calls),
            race.took,
        )

    def _records(self, results: list[Raw], sent: list[str]) -> Records:
        decoder, topics = self._decoder, self._setup.topics
        completions = [self._all(topics.completions(pool)) for pool in self._setup.pools]
        return Records(
            tasks=decoder.tasks(self._all(topics.tasks(AGENT))),
            results=decoder.results(results),
            decisions=decoder.records(Decision, self._all(topics.decisions())),
            completions=[entry for raws in completions for entry in decoder.records(Completion, raws)],
            sent=sent,
        )

    def _all(self, topic: str) -> list[Raw]:
        with self._open(topic) as log:
            return list(log.to_end())
