"""The typed catalogue of metrics: every name that a process exports stands here."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class ProcessorMetrics:
    """Metrics of one processor; each field is already bound to ``processor="<name>"``."""

    received: Counter
    completed: Counter
    answered_again: Counter
    dead_letters: Counter
    commits: Counter
    commits_refused: Counter
    contested: Counter
    partitions: Gauge
    open: Gauge
    parked: Gauge
    asleep: Gauge
    stuck: Gauge
    deltas: Counter
    deltas_dropped: Counter
    deltas_misaddressed: Counter
    work_seconds: Histogram


class MetricsCatalogue:
    """Creates the metrics in a registry of its own (or the one given), once a process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()

        def counter(name: str, text: str) -> Counter:
            return Counter(f"aiosv3_{name}", text, ["processor"], registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"aiosv3_{name}", text, ["processor"], registry=self.registry)

        self._received = counter("records_received_total", "Input records read from the log.")
        self._completed = counter("records_completed_total", "Inputs finished: answered, forwarded, acknowledged.")
        self._again = counter("answers_repeated_total", "Duplicates answered again from the own log.")
        self._dead = counter("dead_letters_total", "Records moved to the dead letters.")
        self._commits = counter("commits_total", "Offset commits accepted by the broker.")
        self._refused = counter(
            "commits_refused_total", "Offset commits that the broker refused or that were withheld."
        )
        self._contested = counter("ownership_contested_total", "Markers of another owner seen above an own one.")
        self._partitions = gauge("partitions_owned", "Partitions owned now.")
        self._open = gauge("records_open", "Inputs admitted and not finished.")
        self._parked = gauge("tasks_parked", "Open tasks that a carry in the journal stands for.")
        self._stuck = gauge("tasks_stuck", "Open tasks whose journal does not fit the code of their worker.")
        self._asleep = gauge("tasks_asleep", "Parked tasks of which only the carry is kept in memory.")
        self._deltas = counter("deltas_total", "Deltas that the broker has: pieces of answers, and progress.")
        self._deltas_dropped = counter("deltas_dropped_total", "Deltas dropped: too many on their way, or refused.")
        self._misaddressed = counter("deltas_misaddressed_total", "Wishes for deltas in a partition that there is not.")
        self._work = Histogram(
            "aiosv3_work_seconds",
            "Time from admission of an input to its acknowledged answer.",
            ["processor"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )

    def processor(self, name: str) -> ProcessorMetrics:
        """The metrics of one processor."""
        return ProcessorMetrics(
            received=self._received.labels(name),
            completed=self._completed.labels(name),
            answered_again=self._again.labels(name),
            dead_letters=self._dead.labels(name),
            commits=self._commits.labels(name),
            commits_refused=self._refused.labels(name),
            contested=self._contested.labels(name),
            partitions=self._partitions.labels(name),
            open=self._open.labels(name),
            parked=self._parked.labels(name),
            asleep=self._asleep.labels(name),
            stuck=self._stuck.labels(name),
            deltas=self._deltas.labels(name),
            deltas_dropped=self._deltas_dropped.labels(name),
            deltas_misaddressed=self._misaddressed.labels(name),
            work_seconds=self._work.labels(name),
        )
