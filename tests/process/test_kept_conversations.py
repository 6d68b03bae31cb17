"""Conversations and what is learned from them, on real Kafka: sealed, and with the view on Weaviate."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

from aiosv3.app.clients import open_client
from aiosv3.app.settings import load_settings
from aiosv3.streams.keys import new_master_keys

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]
TASKS = 3
DEADLINE_S = 60


class Noting(CountingEndpoint):
    """Its summaries are the texts that went into them; its notes say what was said, and supersede what is known."""

    summaries = 0

    def _words(self, _key: str, request: dict[str, object], /) -> str:
        messages = request["messages"]
        assert isinstance(messages, list)
        system, material = str(messages[0]["content"]), str(messages[-1]["content"])
        rows = [json.loads(line) for line in material.splitlines() if line.startswith("{")]
        if system.startswith("You keep the summary"):
            self.summaries += 1
            return " ".join(
                [row["summary"] for row in rows if "summary" in row] + [row["text"] for row in rows if "text" in row]
            )
        if system.startswith("You take notes"):
            notes = [{"text": f"Ada likes {row['text']}", "kind": "fact", "turn": row["turn"]} for row in rows]
            return json.dumps({"notes": notes})
        if system.startswith("You keep notes"):
            return json.dumps({"decisions": [{"note": 1, "action": "supersede", "known": 1}]})
        return "re-" + system.removeprefix("Answer ").rstrip(".")


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    """Nothing runs yet: the test says how memory is kept."""
    endpoint = Noting()
    endpoint.start()
    agents = ("remembering_agents:listener",)
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=2)
    yield processes
    processes.close()


async def talked(mesh: WorkerProcesses, settings: str) -> Run:
    """A conversation of several tasks, each after the one before; whatever was said is seen once, and learned from."""
    with mesh.project.open("a", encoding="utf-8") as file:
        file.write(settings)
    for name, *arguments in (
        ("agent-1", "agent", "listener"),
        ("memory-1", "memory"),
        ("router-1", "router"),
        ("pool-1", "pool", "counted"),
    ):
        mesh.start(name, *arguments)
    run, said = Run(mesh), list[str]()
    topics = ("tasks.listener", "results.listener", "memory.events", "prompts")
    await asyncio.to_thread(run.wait, lambda: run.there(*topics), "the topics")
    async with open_client(load_settings(mesh.project)) as client:
        for number in range(TASKS):
            task = await client.start("listener", {"number": number}, key="k")
            said.append(f"q{number}")
            new = f"Ada likes re-q{number}"
            learned = [f"{'superseded' if number else 'added'} {new}"]
            assert await task.result(timeout=DEADLINE_S) == {"saw": said, "learned": learned, "known": [new]}
            said.append(f"re-q{number}")
    endpoint = mesh.endpoint
    assert isinstance(endpoint, Noting)
    assert endpoint.summaries, "there was something to summarize"
    return run


async def test_under_sealing(mesh: WorkerProcesses) -> None:
    """Summaries and notes of a sealed conversation are sealed, and found."""
    folder = mesh.folder / ".aiosv3"
    folder.mkdir()
    (folder / "master-keys").write_text(new_master_keys(), encoding="utf-8")
    run = await talked(mesh, '\n[memory]\nembedder = "none"\n\n[sealing]\nfrom = "internal"\n')
    topics = [topic for topic in run.producer.list_topics(timeout=10).topics if topic.startswith(mesh.prefix)]
    plain = {topic for topic in topics for one in run.reader.messages(topic) if b"Ada likes" in (one.value() or b"")}
    assert plain == set()


@pytest.mark.weaviate
@pytest.mark.xdist_group("weaviate")
@pytest.mark.skipif(not os.environ.get("AIOSV3_TEST_WEAVIATE"), reason="AIOSV3_TEST_WEAVIATE=1 runs a Weaviate")
async def test_on_weaviate(mesh: WorkerProcesses) -> None:
    """The worker holds almost nothing itself, so the server must find it all."""
    from tests.memory.views.conftest import running_weaviate

    with running_weaviate(mesh.folder) as server:
        where = f'url = "{server.address.url}"\ngrpc_port = {server.address.grpc_port}\ntimeout = 30.0\ntail = 1'
        await talked(mesh, f'\n[memory]\nembedder = "none"\nview = "weaviate"\n\n[memory.weaviate]\n{where}\n')
        mesh.close()
