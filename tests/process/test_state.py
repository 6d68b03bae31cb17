"""A conversation on real Kafka outlives kill -9 of everybody who takes part in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

from aiosv3.streams.kafka import Connection
from aiosv3.streams.kafka.admin import describe

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    agents = ("crash_agents:talker",)
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=1)
    processes.start("agent-1", "agent", "talker")
    processes.start("router-1", "router")
    processes.start("pool-1", "pool", "counted")
    yield processes
    processes.close()


def test_a_conversation_goes_on_after_all_workers_were_killed(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("results.talker", "state.talker", "completions.counted", "prompts"), "the topics")
    for number in range(2):
        run.send("talker", f"t{number}", "ada", number)
    run.producer.flush(10)
    run.wait(lambda: len(run.results("talker")) == 2, "two turns")
    mesh.kill("agent-1", "router-1", "pool-1")
    for number in range(2, 4):
        run.send("talker", f"t{number}", "ada", number)
    run.send("talker", "other", "bob", 0)
    run.producer.flush(10)
    mesh.restart("agent-1", "router-1", "pool-1")
    run.wait(lambda: len(run.results("talker")) == 5, "all turns")
    results = run.results("talker")
    heard = {task_id: copies[0]["content"]["turns"] for task_id, copies in results.items()}
    assert heard == {"t0": 1, "t1": 3, "t2": 5, "t3": 7, "other": 1}
    sent = {key.partition("/")[0]: arrivals[-1].messages for key, arrivals in mesh.endpoint.calls.items()}
    assert sent == heard, "the model was sent every turn"
    kept = [path for path in (mesh.folder / ".aiosv3" / "claims").rglob("*") if path.is_file()]
    assert len(kept) == 4, "a block for each turn of the user; how bob begins is how ada began, so it is one"
    topic = run.topic("state.talker")
    described = asyncio.run(describe(Connection(mesh.bootstrap, client_id="test"), [topic]))[topic]
    assert described.config["cleanup.policy"] == "compact"
    assert described.config["min.compaction.lag.ms"] == "86400000"
