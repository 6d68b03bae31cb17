"""A conversation of many tasks on real Kafka, whose workers are killed: each turn once, each summary once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from dialogue_agents import LOOK
from worker_processes import WorkerProcesses

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]
TASKS = 10


class Speaking(CountingEndpoint):
    """Its summaries are the texts that went into them; its answers name what they answer."""

    summarized: dict[str, list[str]]

    def _words(self, key: str, request: dict[str, object], /) -> str:
        messages = request["messages"]
        assert isinstance(messages, list)
        system, material = str(messages[0]["content"]), str(messages[-1]["content"])
        if not system.startswith("You keep the summary"):
            return "re-" + system.removeprefix("Answer ").rstrip(".")
        rows = [json.loads(line) for line in material.splitlines() if line.startswith("{")]
        self.summarized[key] = [row["text"] for row in rows if "text" in row]
        return " ".join([row["summary"] for row in rows if "summary" in row] + self.summarized[key])


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = Speaking(delay=0.2)
    endpoint.summarized = {}
    endpoint.start()
    processes = WorkerProcesses(
        tmp_path, kafka, topic_prefix, endpoint, agents=("dialogue_agents:talker",), partitions=2
    )
    with processes.project.open("a", encoding="utf-8") as file:
        file.write('\n[memory]\nembedder = "none"\n')
    for name, *arguments in (
        ("agent-1", "agent", "talker"),
        ("memory-1", "memory"),
        ("memory-2", "memory"),
        ("router-1", "router"),
        ("pool-1", "pool", "counted"),
    ):
        processes.start(name, *arguments)
    yield processes
    processes.close()


def test_each_turn_is_there_once_whoever_is_killed(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("tasks.talker", "results.talker", "memory.events", "prompts"), "the topics")
    for number in range(TASKS):
        run.send("talker", f"t{number}", f"k{number}", number)
    run.producer.flush(10)
    for names, point in ((("agent-1",), 2), (("agent-1", "memory-1", "memory-2"), 5)):
        run.wait(lambda point=point: len(run.results("talker")) >= point, f"{point} results")  # type: ignore[misc]
        mesh.kill(*names)
        mesh.restart(*names)
    run.wait(lambda: len(run.results("talker")) == TASKS, "all results")
    run.send("talker", "look", "k", LOOK)
    run.producer.flush(10)
    run.wait(lambda: "look" in run.results("talker"), "a look")
    results = {name: copies[0]["content"]["value"] for name, copies in run.results("talker").items()}
    said = {f"{kind}q{number}" for number in range(TASKS) for kind in ("", "re-")}
    assert sorted(results["look"]) == sorted(said)
    for number in range(TASKS):
        saw = results[f"t{number}"]
        assert saw[-1] == f"q{number}"
        assert len(saw[:-1]) == len(set(saw[:-1]))
    endpoint = mesh.endpoint
    assert isinstance(endpoint, Speaking)
    summarized = [text for texts in endpoint.summarized.values() for text in texts]
    assert summarized, "there was something to summarize"
    assert len(summarized) == len(set(summarized)), "no turn went into two summaries"
