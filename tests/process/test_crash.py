"""500 tasks × 3 steps on real Kafka with real processes, killed, stopped and continued at random points."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_endpoint import CountingEndpoint
from topic_reader import TopicReader, first_by_id, header, plain_producer
from worker_processes import WorkerProcesses

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Completion, JournalKind, JournalRecord, Outcome
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.partitioner import murmur2_partition

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(420)]

TASKS = 500
KEYS = 40
PARTITIONS = 4
SESSION_S = 6.0
EARLY = "cancelled-early"


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, partitions=PARTITIONS)
    for number in (1, 2):
        processes.start(f"agent-{number}", "agent", "worker")
        processes.start(f"pool-{number}", "pool", "counted")
    processes.start("queue-1", "agent", "queue")
    processes.start("router-1", "router")
    yield processes
    processes.close()


class Run:
    """One run: produces, waits on conditions, reads."""

    def __init__(self, mesh: WorkerProcesses) -> None:
        self.mesh = mesh
        self.reader = TopicReader(mesh.bootstrap, mesh.lock)
        self.producer = plain_producer(mesh.bootstrap)
        self.sent: dict[str, tuple[str, str, int]] = {}

    def topic(self, name: str) -> str:
        return self.mesh.prefix + name

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        """Polls until the condition holds; a deadline, never a hope."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s\n{self.mesh.logs()}"
            time.sleep(0.1)

    def send(self, agent: str, task_id: str, key: str, number: int) -> None:
        self.sent[task_id] = (agent, key, number)
        headers = [("ce_id", task_id.encode()), ("content-type", b"application/json")]
        value = json.dumps({"number": number}).encode()
        self.producer.produce(self.topic(f"tasks.{agent}"), key=key.encode(), value=value, headers=headers)
        self.producer.poll(0)

    def cancel(self, agent: str, task_id: str, key: str) -> None:
        record = JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
        partition = murmur2_partition(key.encode(), PARTITIONS)
        out = journal_outgoing(self.reader.codec(), self.topic(f"journal.{agent}"), partition, record, b"test")
        self.producer.produce(
            out.topic, key=out.key, value=out.value, partition=partition, headers=[(n, v) for n, v in out.headers]
        )
        self.producer.flush(10)

    def results(self, agent: str) -> dict[str, list[dict[str, Any]]]:
        codec = self.reader.codec()
        rows = [
            (header(message, "ce_id") or "", codec.decode(message.value() or b"").datum)
            for message in self.reader.messages(self.topic(f"results.{agent}"))
        ]
        return first_by_id(rows)

    def finished(self) -> int:
        return self.reader.count(self.topic("results.worker")) + self.reader.count(self.topic("results.queue"))

    def ready(self) -> bool:
        """Every topic that the workers make is there."""
        consumer = plain_producer(self.mesh.bootstrap)
        there = set(consumer.list_topics(timeout=10).topics)
        return {self.topic(n) for n in ("results.worker", "results.queue", "completions.counted", "prompts")} <= there


def test_nothing_is_lost_or_done_twice_whatever_is_killed(mesh: WorkerProcesses) -> None:
    run, rng = Run(mesh), random.Random(20)
    run.wait(run.ready, "the topics")
    run.cancel("worker", EARLY, "key-0")
    for number in range(TASKS):
        agent = "queue" if number % 10 == 0 else "worker"
        run.send(agent, f"task-{number}", f"key-{number % KEYS}", number)
    run.send("worker", EARLY, "key-0", -1)
    run.producer.flush(30)

    points = sorted(rng.sample(range(20, TASKS - 60), 6))
    victims = [("agent-1",), ("router-1",), ("pool-1",), ("queue-1",), ("agent-2", "pool-2")]
    for names, point in zip(victims, points, strict=False):
        run.wait(lambda point=point: run.finished() >= point, f"{point} results")  # type: ignore[misc]
        mesh.kill(*names)
        mesh.restart(*names)
    _zombie(run, mesh, "agent-1")
    run.wait(lambda: run.finished() >= points[-1], f"{points[-1]} results")
    everybody = mesh.alive()
    mesh.kill(*everybody)
    mesh.restart(*everybody)

    run.wait(lambda: len(run.results("worker")) + len(run.results("queue")) >= TASKS + 1, "every result")
    _again(run)
    _check(run)


def _zombie(run: Run, mesh: WorkerProcesses, name: str) -> None:
    """SIGSTOP for longer than the session, then SIGCONT: it wakes up and does not know that it lost its partitions."""
    mesh.pause(name)
    stopped = time.monotonic()
    run.wait(lambda: time.monotonic() - stopped > SESSION_S * 1.5, "the pause", SESSION_S * 2)
    mesh.resume(name)


def _again(run: Run) -> None:
    """The same events again, late: completed silently, no second result, no call."""
    before = {key: len(calls) for key, calls in run.mesh.endpoint.calls.items()}
    for task_id, (agent, key, number) in list(run.sent.items())[:20]:
        run.send(agent, task_id, key, number)
    run.send("worker", "the-last", "key-0", -2)
    run.producer.flush(10)
    run.wait(lambda: "the-last" in run.results("worker"), "the last result")
    after = {key: len(run.mesh.endpoint.calls[key]) for key in before}
    assert after == before


def _check(run: Run) -> None:
    results = {**run.results("worker"), **run.results("queue")}
    lost = sorted(set(run.sent) - set(results))
    assert not lost, f"lost: {lost[:10]}\n{run.mesh.logs()}"
    assert results[EARLY][0]["outcome"] == "CANCELLED"
    for task_id, copies in results.items():
        if task_id != EARLY:
            assert copies[0]["outcome"] == "OK", copies[0]
        assert all(copy["content"] == copies[0]["content"] for copy in copies), task_id
    _check_calls(run)
    _check_order(run, "worker")
    _check_order(run, "queue")


def _check_calls(run: Run) -> None:
    """No call arrived after its answer was on the log."""
    codec: Codec = run.reader.codec()
    answered: dict[str, int] = {}
    for message in run.reader.messages(run.topic("completions.counted")):
        if message.value() is None:
            continue
        completion = codec.decode_as(Completion, message.value() or b"")
        if completion.outcome is Outcome.OK:
            answered.setdefault(completion.request_id, message.timestamp()[1])
    again = {
        key: [call.at - answered[key] for call in calls if call.at > answered[key]]
        for key, calls in run.mesh.endpoint.calls.items()
        if key in answered and any(call.at > answered[key] for call in calls)
    }
    assert not again, f"called again after the answer was on the log: {again}"


def _check_order(run: Run, agent: str) -> None:
    """Tasks of a key start in the order of their events."""
    codec = run.reader.codec()
    for partition in range(PARTITIONS):
        place: dict[str, tuple[str, int]] = {}
        for message in run.reader.partition(run.topic(f"tasks.{agent}"), partition):
            place.setdefault(header(message, "ce_id") or "", ((message.key() or b"").decode(), message.offset() or 0))
        started: dict[str, list[int]] = {}
        seen: set[str] = set()
        for message in run.reader.partition(run.topic(f"journal.{agent}"), partition):
            if message.value() is None:
                continue
            record = codec.decode_as(JournalRecord, message.value() or b"")
            if record.kind is JournalKind.STARTED and record.task_id not in seen:
                seen.add(record.task_id)
                key, offset = place[record.task_id]
                started.setdefault(key, []).append(offset)
        for key, offsets in started.items():
            assert offsets == sorted(offsets), f"{agent} {key}: {offsets}"
