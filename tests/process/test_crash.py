"""500 tasks of 3 steps on real Kafka with real processes, killed, stopped and continued at random points."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from topic_reader import header
from worker_processes import WorkerProcesses

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Completion, JournalKind, JournalRecord, Outcome

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
    twice = {task_id: len(copies) for task_id, copies in run.results("queue").items() if len(copies) > 1}
    assert not twice, f"with exactly_once there is one record of each result: {twice}"
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
