"""One run of one scenario: brokers, workers, clients, faults, and what the checker says at the end."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from tests.chaos.afterwards import Afterwards
from tests.chaos.books import check_money
from tests.chaos.brokers import Brokers, Single
from tests.chaos.checker import KINDS, Evidence, Violation, check, in_flight
from tests.chaos.clients import Sender, Watcher
from tests.chaos.endpoint import Outside
from tests.chaos.evidence import Reading
from tests.chaos.history import History, read_history
from tests.chaos.remembered import check_memory
from tests.chaos.workers import AGENTS, EVERYBODY, POOL, ZONE, Workers

from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.processes import send

SESSION_S: Final = 6.0
PARTITIONS: Final = 4
_READY_S: Final = 180.0
_END_S: Final = 300.0
_SHOWN: Final = 12
_NAMED: Final = (4,)
"""Exit codes of workers that say in words that something which they need at their start is not there."""


@dataclass
class Plan:
    """What a scenario is made of, beside its faults."""

    brokers: Callable[[Path], Brokers] = Single
    rate: float = 8.0
    names: Sequence[str] = tuple(EVERYBODY)
    more: str = ""
    timeout: float = 60.0
    prepare: Callable[[Stage], None] = lambda _stage: None
    """Called when the broker runs and before any worker does."""


@dataclass
class Report:
    """What came of a run."""

    scenario: str
    seed: int
    seconds: float
    tasks: int = 0
    calls: int = 0
    faults: int = 0
    in_flight: int = 0
    settled: int = 0
    remembered: int = 0
    longest_gap_s: float = 0.0
    fell: list[str] = field(default_factory=list)
    """Workers that ended by themselves."""
    violations: list[Violation] = field(default_factory=list)
    skipped: str = ""
    folder: str = ""
    peer: bool = False
    """Somebody else's runtime, of which something is to be found."""

    @property
    def green(self) -> bool:
        """Whether nothing is wrong; of a peer, whether what is wrong was found."""
        return bool(self.skipped) or bool(self.violations) == self.peer

    def counts(self) -> dict[str, int]:
        """Violations by kind."""
        return {kind: sum(one.kind == kind for one in self.violations) for kind in KINDS}

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | self.counts() | {"violations": [list(one) for one in self.violations]}


class Stage:
    """``rng`` decides everything that a scenario decides. ``folder`` keeps logs, history and data."""

    def __init__(self, name: str, plan: Plan, folder: Path, seed: int, seconds: float, bootstrap: str = "") -> None:
        self.name = name
        self.plan = plan
        self.folder = folder
        self.seconds = seconds
        self.seed = seed
        self.rng = random.Random(f"{name}/{seed}")
        self.prefix = f"chaos.{name}.{seed}.{time.time_ns() % 10**9}."
        self.history = History(folder / "history.jsonl")
        self.outside = Outside()
        self.brokers: Brokers | None = None
        self._shared = bootstrap
        self.stuck = False
        """Tasks did not end in time."""
        self.fell: list[str] = []
        self.kept: dict[str, Any] = {}
        """What a scenario prepares for its faults."""
        self.closing: list[Callable[[], None]] = []
        """Called at the end, whatever it is."""
        self._deadline = 0.0

    # -- what scenarios use ---------------------------------------------------------------------------------------

    @property
    def plain(self) -> str:
        """Where clients find the broker."""
        return self.brokers.plain if self.brokers is not None else self._shared

    def on(self) -> bool:
        """Whether there is time left for faults."""
        return time.monotonic() < self._deadline

    def idle(self, low: float, high: float) -> None:
        """A random pause; workers that fell meanwhile are started again, as a supervisor would."""
        until = time.monotonic() + self.rng.uniform(low, high)
        while time.monotonic() < until:
            time.sleep(0.1)
            self.fell += self.workers.revive()

    def freeze(self, server: KafkaServer, seconds: float) -> None:
        """SIGSTOP of a broker, and SIGCONT later."""
        process = server.process()
        if process is not None:
            send(process, signal.SIGSTOP)
            self.idle(seconds, seconds)
            send(process, signal.SIGCONT)

    def topic(self, name: str) -> str:
        return self.prefix + name

    def fault(self, words: str) -> None:
        """Writes down a fault."""
        self.history.fault(words)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = _READY_S) -> None:
        """Polls until it holds. Raises TimeoutError with the ends of all logs."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not happen in {seconds:.0f} s\n{self.workers.logs()}")
            time.sleep(0.1)
            self.fell += self.workers.revive()

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self, strike: Callable[[Stage], None]) -> Report:
        """Everything, from brokers to verdict. Ends what it started."""
        if not self._shared:
            self.brokers = self.plan.brokers(self.folder)
        try:
            return self._run(strike)
        finally:
            if hasattr(self, "workers"):
                self.workers.close()
            for close in self.closing:
                close()
            if self.brokers is not None:
                self.brokers.close()
            self.history.close()

    def _run(self, strike: Callable[[Stage], None]) -> Report:
        if self.brokers is not None:
            self.brokers.start()
        self.outside.start()
        self.workers = self._workers()
        self.plan.prepare(self)
        self.workers.everybody(self.plan.names)
        self.wait(self._there, "the topics")
        self.sender = Sender(self.plain, self.prefix, self.history, self.rng, self.plan.rate)
        self.watcher = Watcher(self.plain, self.prefix, AGENTS, PARTITIONS)
        self.watcher.start()
        self.sender.start()
        self.wait(lambda: self.watcher.count > 0, "the first result")
        self._deadline = time.monotonic() + self.seconds
        strike(self)
        self.sender.rest()
        self._heal()
        self._drain()
        self.watcher.close()
        return self._verdict()

    def _verdict(self) -> Report:
        """Where tasks did not end, each worker says where it stands, and nothing more is asked of it."""
        reading = Reading.of(self.plain, self.workers)
        if self.stuck:
            self.workers.abort()
        report = self._report(reading.evidence(self.workers, self.sender, self.watcher, self.outside))
        if not self.stuck:
            after = Afterwards(reading, self.workers, self.outside)
            money, memory = after.money(), after.memory()
            report.settled, report.remembered = len(money.settlements), len(memory.told)
            report.violations += [*check_money(money), *check_memory(memory)]
        return report

    def _workers(self) -> Workers:
        bootstrap = self.brokers.bootstrap if self.brokers is not None else self._shared
        port, plan = self.outside.port, self.plan
        return Workers(
            self.folder, bootstrap, self.prefix, port, self.history, PARTITIONS, timeout=plan.timeout, more=plan.more
        )

    def _there(self) -> bool:
        wanted = [f"{kind}.{agent}" for kind in ("tasks", "journal", "results") for agent in AGENTS]
        wanted += ["prompts", f"completions.{POOL}", f"tool-results.{ZONE}", "memory.events"]
        try:
            topics = Producer({"bootstrap.servers": self.plain, "log_level": 0}).list_topics(timeout=10).topics
        except KafkaException:
            return False
        return {self.topic(name) for name in wanted} <= set(topics)

    def _heal(self) -> None:
        self.history.write("note", what="no more faults")
        if self.brokers is not None:
            self.brokers.heal()
        self.workers.resume(*self.workers.alive())
        self.workers.restart(*self.workers.struck())
        self.outside.down = False
        self.outside.choose = lambda _key: None
        self.fell += self.workers.revive()

    def _drain(self) -> None:
        """Until every task that the broker has is done, or the checker may say that it is lost."""
        if not self.sender.finish(_READY_S):
            self.history.write("note", what="the broker does not take all tasks")
        try:
            self.wait(self._done, "a result of every task", _END_S)
        except TimeoutError as error:
            (self.folder / "stuck.txt").write_text(str(error), encoding="utf-8")
            self.stuck = True

    def _done(self) -> bool:
        return all(set(self.sender.acked[agent]) <= self.watcher.first[agent] for agent in AGENTS)

    def _broken(self) -> list[str]:
        """Workers that ended in a way that no supervisor should have to make good."""
        return [one for one in self.fell if not one.endswith(tuple(f"({code})" for code in _NAMED))]

    def _report(self, evidence: Evidence) -> Report:
        unexpected = [Violation("wrong", f"{one} ended by an error that it did not expect") for one in self._broken()]
        return Report(
            self.name,
            self.seed,
            self.seconds,
            tasks=sum(len(lane.tasks) for lane in evidence.lanes),
            calls=sum(len(acts.acts) for acts in evidence.acts),
            faults=sum(event["kind"] == "fault" for event in read_history(self.history.path)),
            in_flight=in_flight(evidence),
            longest_gap_s=round(self.watcher.longest_gap(), 1),
            fell=self.fell,
            violations=[*check(evidence), *unexpected],
            folder=str(self.folder),
        )


def tidy(report: Report) -> None:
    """Nothing is kept of what went well."""
    if report.green and report.folder:
        shutil.rmtree(report.folder, ignore_errors=True)
        report.folder = ""


def shown(report: Report) -> str:
    """The violations, the first of them."""
    lines = [f"  {one.kind}: {one.words}" for one in report.violations[:_SHOWN]]
    more = len(report.violations) - _SHOWN
    return "\n".join([*lines, f"  … and {more} more"] if more > 0 else lines)
