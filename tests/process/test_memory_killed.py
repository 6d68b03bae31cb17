"""A memory worker killed while it takes in, while it rebuilds its live view, and while it forgets.

What the log gives, what the states say and what the worker's view holds are the same afterwards, and nothing that was
forgotten is back.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

from aiosv3.app.commands.options import settings_of
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.recollection import MemoryReading
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.memory.views.port import Digest

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(300)]
MEMORIES: Final = 200
ABOUT: Final = 6
DEADLINE_S: Final = 120.0
WORKERS: Final = ("memory-1", "memory-2")


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, CountingEndpoint(), agents=(), partitions=2)
    with processes.project.open("a", encoding="utf-8") as file:
        file.write('\n[memory]\nembedder = "none"\n')
    for name in WORKERS:
        processes.start(name, "memory")
    yield processes
    processes.close()


def line(number: int) -> str:
    return json.dumps({"text": f"fact {number}", "subject_name": f"subject {number % ABOUT}", "source": "kills"})


async def until(met: Callable[[], Awaitable[bool]], what: str, mesh: WorkerProcesses) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await met():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen\n{mesh.logs()}") from None


class Shell:
    """Somebody at the shell, and what the topics hold."""

    def __init__(self, mesh: Mesh, processes: WorkerProcesses) -> None:
        self.mesh = mesh
        self.processes = processes
        self.asking = MemoryAsking(mesh)

    async def records(self, topic: str) -> int:
        bounds = [await self.mesh.log.bounds(topic, partition) for partition in range(2)]
        return sum(end - start for start, end in bounds)

    async def killed(self, *who: str, when: Callable[[], Awaitable[bool]], what: str) -> None:
        """kill -9 of these workers at that moment; then they are started again."""
        await until(when, what, self.processes)
        self.processes.kill(*who)
        self.processes.restart(*who)

    async def log_has(self) -> tuple[Mapping[str, Digest], list[str]]:
        """What the log gives: the digests, and the texts."""
        recollection = await MemoryReading(self.mesh).recollect()
        entries = await recollection.entries(self.mesh.settings.mesh.tenant)
        return await recollection.digests(), sorted(entry.text for entry in entries)

    async def live_views(self) -> list[dict[str, Any]]:
        """What each worker's view holds: it was compared with a new one out of the log."""
        events = await self.asking.rebuild(DEADLINE_S)
        assert {event.error for event in events} == {None}, self.processes.logs()
        return [json.loads(str(event.content))["tenants"] for event in events]

    async def killed_in_a_rebuild(self) -> list[dict[str, Any]]:
        """What the rebuild came to, which the workers that were started again have done."""
        queries = self.mesh.topics.memory_queries()
        before = await self.records(queries)
        rebuilding = asyncio.create_task(self.asking.rebuild(DEADLINE_S))

        async def asked() -> bool:
            return await self.records(queries) > before

        await self.killed(*WORKERS, when=asked, what="the request to rebuild")
        events = await rebuilding
        assert {event.error for event in events} == {None}, self.processes.logs()
        return [json.loads(str(event.content)) for event in events]

    async def states_have(self) -> Mapping[str, Digest]:
        return await (await MemoryReading(self.mesh).from_states()).digests()

    async def check(self, expected: list[str]) -> None:
        digests, texts = await self.log_has()
        assert texts == expected
        told = {name: {"count": one.count, "hash": one.hash} for name, one in digests.items()}
        assert all(view == told for view in await self.live_views())

        async def same() -> bool:
            return await self.states_have() == digests

        await until(same, "the states of the memory log", self.processes)


async def test_a_killed_worker_leaves_memory_as_the_log_has_it(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    await asyncio.to_thread(run.wait, lambda: run.registered("memory.events"), "a memory worker")
    async with open_mesh(settings_of(mesh.project), "test") as opened:
        shell = Shell(opened, mesh)
        topics, asking, tenant = opened.topics, shell.asking, opened.settings.mesh.tenant

        sent = [await asking.remember(line(number), tenant) for number in range(MEMORIES)]

        async def taking_in() -> bool:
            return await shell.records(topics.memory_events()) > MEMORIES // 10

        await shell.killed(WORKERS[0], when=taking_in, what="the first events")
        for name, partition in sent:
            await asking.answered(name, partition, DEADLINE_S)
        facts = [f"fact {number}" for number in range(MEMORIES)]
        await shell.check(sorted(facts))

        assert len(await shell.killed_in_a_rebuild()) == 2

        before = await shell.records(topics.memory_queries())
        forgetting = asyncio.create_task(asking.forget(tenant, "subject 4", None, DEADLINE_S))

        async def asked_to_forget() -> bool:
            return await shell.records(topics.memory_queries()) > before

        await shell.killed(*WORKERS, when=asked_to_forget, what="the request to forget")
        await forgetting
        left = sorted(fact for number, fact in enumerate(facts) if number % ABOUT != 4)
        await shell.check(left)


@pytest.mark.weaviate
@pytest.mark.skipif(not os.environ.get("AIOSV3_TEST_WEAVIATE"), reason="AIOSV3_TEST_WEAVIATE=1 runs a Weaviate")
async def test_a_worker_killed_while_it_rebuilds_for_all_leaves_the_live_collection(
    tmp_path: Path, kafka: str, topic_prefix: str, aiosv3_said: Callable[..., str]
) -> None:
    from tests.memory.views.conftest import running_weaviate

    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, CountingEndpoint(), agents=(), partitions=2)
    with running_weaviate(tmp_path) as server:
        where = f'url = "{server.address.url}"\ngrpc_port = {server.address.grpc_port}'
        with processes.project.open("a", encoding="utf-8") as file:
            file.write(f'\n[memory]\nembedder = "none"\nview = "weaviate"\n\n[memory.weaviate]\n{where}\n')
        for name in WORKERS:
            processes.start(name, "memory")
        try:
            await rebuilt_for_all(processes, aiosv3_said)
        finally:
            processes.close()


async def rebuilt_for_all(processes: WorkerProcesses, said: Callable[..., str]) -> None:
    run = Run(processes)
    await asyncio.to_thread(run.wait, lambda: run.registered("memory.events"), "a memory worker")
    async with open_mesh(settings_of(processes.project), "test") as opened:
        shell = Shell(opened, processes)
        tenant = opened.settings.mesh.tenant
        sent = [await shell.asking.remember(line(number), tenant) for number in range(60)]
        for name, partition in sent:
            await shell.asking.answered(name, partition, DEADLINE_S)
        (told,) = await shell.killed_in_a_rebuild()
        await shell.asking.forget(tenant, "subject 4", None, DEADLINE_S)
        (again,) = await shell.asking.rebuild(DEADLINE_S)
        digests, texts = await shell.log_has()
        live = json.loads(str(again.content))
        assert live["tenants"] == {name: {"count": one.count, "hash": one.hash} for name, one in digests.items()}
        assert texts == sorted(f"fact {number}" for number in range(60) if number % ABOUT != 4)
    project = ("-p", str(processes.project))
    assert said("memory", "rebuild", "--back", live["kept"], *project).startswith(f"{live['kept']} is live again")
    assert live["kept"] != told["kept"]
    dropped = json.loads(said("memory", "rebuild", "--confirm", "--json", *project))["dropped"]
    assert told["kept"] in dropped
    assert live["kept"] not in dropped


@pytest.fixture
def aiosv3_said() -> Callable[..., str]:
    """What a command of the shell says, which must go well."""

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "aiosv3.app", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout

    return run
