"""Memory on real Kafka: workers killed while they take in, while they rebuild, and after something was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from memory_agents import FORGET, RECALL
from worker_processes import WorkerProcesses

from aiosv3.memory.fold import Fold
from aiosv3.schemas.memory import MemoryEvent, MemoryState

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]
TASKS = 40


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    agents = ("memory_agents:clerk",)
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=2)
    with processes.project.open("a", encoding="utf-8") as file:
        file.write('\n[memory]\nembedder = "none"\n')
    processes.start("agent-1", "agent", "clerk")
    processes.start("memory-1", "memory")
    processes.start("memory-2", "memory")
    yield processes
    processes.close()


def folded(run: Run) -> dict[int, Fold]:
    """Memory as anybody makes it out of the log."""
    folds: dict[int, Fold] = {}
    codec = run.reader.codec()
    for message in run.reader.messages(run.topic("memory.events")):
        if (value := message.value()) is not None:
            fold = folds.setdefault(message.partition() or 0, Fold())
            fold.apply(codec.decode_as(MemoryEvent, value), message.offset() or 0)
    return folds


def states(run: Run) -> dict[str, int | None]:
    """Key -> version, as ``memory.state`` says it; None for a tombstone."""
    said: dict[str, int | None] = {}
    codec = run.reader.codec()
    for message in run.reader.messages(run.topic("memory.state")):
        value, key = message.value(), (message.key() or b"").decode()
        said[key] = None if value is None else codec.decode_as(MemoryState, value).offset
    return {key: version for key, version in said.items() if version is not None and not key.startswith("forgotten/")}


def kept(run: Run) -> dict[str, int]:
    """The same out of the memory log."""
    return {key[1]: known.version for fold in folded(run).values() for key, known in fold.memories.items()}


def test_memory_outlives_its_workers_and_forgets_for_good(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("tasks.clerk", "results.clerk", "memory.events", "memory.state"), "the topics")
    for number in range(TASKS):
        run.send("clerk", f"t{number}", f"k{number}", number)
    run.producer.flush(10)
    run.wait(lambda: len(run.results("clerk")) >= 5, "the first results")
    mesh.kill("memory-1", "memory-2")
    mesh.restart("memory-1")
    mesh.kill("memory-1")  # in its rebuild, or before it
    mesh.restart("memory-1", "memory-2")
    run.wait(lambda: len(run.results("clerk")) == TASKS, "all results")
    found = [copies[0]["content"]["value"] for copies in run.results("clerk").values()]
    assert sorted(map(len, found)) == [1] * TASKS, "each task found what it had remembered itself"
    assert len({ids[0] for ids in found}) == len(kept(run)) == TASKS

    run.send("clerk", "forget", "k", FORGET)
    run.producer.flush(10)
    run.wait(lambda: "forget" in run.results("clerk"), "the forgetting")
    run.wait(lambda: len(kept(run)) == TASKS * 4 // 5 + 1, "what is remembered after the forgetting")
    mesh.kill("memory-1", "memory-2")
    mesh.restart("memory-1", "memory-2")
    run.send("clerk", "recall", "k", RECALL)
    run.producer.flush(10)
    run.wait(lambda: "recall" in run.results("clerk"), "the recall")
    expected = sorted(["fact after all", *(f"fact {number}" for number in range(TASKS) if number % 5 != 4)])
    assert run.results("clerk")["recall"][0]["content"]["value"] == expected
    run.wait(lambda: states(run) == kept(run), "the states of the memory log")
