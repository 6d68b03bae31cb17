"""Some hundred tasks that wait are parked on real Kafka; their worker is killed, and all end right with the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

from aiosv3.schemas.records import JournalKind, JournalRecord

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]

TASKS = 300
PARTITIONS = 2
TASKS_TOPIC, JOURNAL = "tasks.patient", "journal.patient"


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    agents = ("crash_agents:patient",)
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=PARTITIONS)
    with processes.project.open("a", encoding="utf-8") as project:
        project.write("\n[agent.patient]\npark_after = 0.5\n")
    processes.start("agent-1", "agent", "patient")
    processes.start("router-1", "router")
    yield processes
    processes.close()


def parked(run: Run) -> set[str]:
    """The tasks of which a carry is on the journal."""
    codec = run.reader.codec()
    found = (message.value() for message in run.reader.messages(run.topic(JOURNAL)))
    records = [codec.decode_as(JournalRecord, value) for value in found if value is not None]
    return {record.task_id for record in records if record.kind is JournalKind.CARRY}


def bases(run: Run) -> int:
    """How many inputs lie below the committed bases."""
    return sum(max(0, run.committed("agent.patient", run.topic(TASKS_TOPIC), p)) for p in range(PARTITIONS))


def test_parked_tasks_survive_their_worker_and_end_right(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("results.patient", "prompts"), "the topics")
    for number in range(TASKS):
        run.send("patient", f"task-{number}", f"key-{number % 40}", number)
    run.producer.flush(30)
    run.wait(lambda: len(parked(run)) == TASKS and bases(run) == TASKS, "every task parked, and that committed")
    mesh.kill("agent-1")
    mesh.restart("agent-1")
    mesh.start("pool-1", "pool", "counted")
    run.wait(lambda: len(run.results("patient")) == TASKS, "every result")
    for task_id, copies in run.results("patient").items():
        assert copies[0]["outcome"] == "OK", (task_id, copies[0])
        assert all(copy["content"] == copies[0]["content"] for copy in copies), task_id
    repeated = {key: len(calls) for key, calls in mesh.endpoint.calls.items() if len(calls) > 1}
    assert repeated == {}, "no call was made twice"
    assert len(mesh.endpoint.calls) == TASKS
