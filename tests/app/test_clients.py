"""Clients on a real broker and a real worker: from settings, from an address alone, blocking and not, many at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from aiosv3.agents import AgentFailed, Client, SyncClient, TreeCancelled
from aiosv3.agents.client import Asked, Decided, Finished, NotFinished, Started
from aiosv3.app.clients import client_of, open_client, open_sync_client
from aiosv3.app.projects import agent_named
from aiosv3.app.settings import Settings, load_settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.errors import UnknownSchema

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]
SECONDS = 60


@pytest.fixture(scope="module")
def settings(desk: Any) -> Iterator[Settings]:
    found = load_settings(desk.file)
    yield found
    folder = str(found.folder.resolve())
    if folder in sys.path:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def agent(settings: Settings) -> Any:
    """The project's agent, its code in this process."""
    return agent_named(settings, "desk")


async def test_typed_and_by_name_with_the_settings_of_a_project(settings: Settings, agent: Any) -> None:
    letter, reply = agent.input_type, agent.output_type
    async with open_mesh(settings, "test") as mesh, client_of(mesh) as client:
        typed = await client.start(agent, letter(text="hello"), key="k")
        by_name = await client.start("desk", {"text": "hello"})
        assert await typed.result(timeout=SECONDS) == reply(text="HELLO")
        assert await by_name.result(timeout=SECONDS) == {"text": "HELLO"}
        failing = await client.start(agent, letter(text="fail"))
        with pytest.raises(AgentFailed, match=r"ValueError: no \[/such\] letter"):
            await failing.result(timeout=SECONDS)
        ended = await (await client.start("desk", {"text": "ask"})).ended(timeout=SECONDS)
        assert (ended.output, ended.cost_usd, ended.usage.model_calls) == ({"text": "an answer"}, 0.000014, 1)
    async with open_client(settings) as other:
        assert await other.handle(str(typed), agent).result(timeout=0) == reply(text="HELLO")


async def test_many_tasks_are_waited_for_by_one_client(settings: Settings) -> None:
    async with open_client(settings) as client:
        handles = await asyncio.gather(*(client.start("desk", {"text": f"n{n}"}) for n in range(300)))
        results = await asyncio.gather(*(handle.result(timeout=SECONDS) for handle in handles))
    assert [result["text"] for result in results] == [f"N{n}" for n in range(300)]


async def test_cancel_messages_and_events(settings: Settings, desk: Any) -> None:
    async with open_client(settings) as client:
        handle = await client.start("desk", {"text": "listen"}, stream=True)
        with pytest.raises(NotFinished):
            await handle.result(timeout=0)
        async with asyncio.timeout(SECONDS), aclosing(handle.events()) as events:
            assert isinstance(await anext(events), Started)
            await handle.send("note", {"text": "hi"})
            last = await anext(events)
            assert isinstance(last, Finished)
            assert last.output == {"text": "hi"}
        left = await client.start("desk", {"text": "listen"})
        await left.cancel()
        with pytest.raises(TreeCancelled):
            await left.result(timeout=SECONDS)


async def test_a_question_and_its_answer_are_seen_from_another_process(
    settings: Settings, aiosv3: Any, desk: Any
) -> None:
    async with open_client(settings) as client:
        started = await client.start("desk", {"text": "approve"})
        kinds: list[type] = []
        async with asyncio.timeout(SECONDS), aclosing(client.handle(str(started)).events()) as events:
            async for event in events:
                kinds.append(type(event))
                if isinstance(event, Asked):
                    await asyncio.to_thread(
                        aiosv3, "approvals", "answer", event.question, "--approve", "--as", "ann", "-p", str(desk.file)
                    )
        assert kinds == [Started, Asked, Decided, Finished]


def test_from_an_address_alone_blocking(desk: Any, agent: Any) -> None:
    """No project, no registry: the code of the agent says how its results read; its name alone does not."""
    with SyncClient(desk.bootstrap, prefix=desk.prefix) as client:
        handle = client.start(agent, agent.input_type(text="hello"))
        assert handle.result(timeout=SECONDS) == agent.output_type(text="HELLO")
    with SyncClient(desk.bootstrap, prefix=desk.prefix) as client, pytest.raises(UnknownSchema, match="registry"):
        client.handle(str(handle)).result(timeout=SECONDS)


async def test_from_an_address_alone(desk: Any, agent: Any) -> None:
    async with Client(desk.bootstrap, prefix=desk.prefix) as client:
        handle = await client.start(agent, agent.input_type(text="x"), id=f"own-{uuid.uuid4().hex[:8]}")
        assert (await handle.result(timeout=SECONDS)).text == "X"


def test_blocking_with_the_settings_of_a_project(settings: Settings) -> None:
    with open_sync_client(settings) as client:
        assert client.start("desk", {"text": "hello"}).result(timeout=SECONDS) == {"text": "HELLO"}


_SCRIPT = """
import os, sys
from aiosv3.agents import SyncClient

client = SyncClient({bootstrap!r}, prefix={prefix!r})
first = client.start("desk", {{"text": "x"}})
child = os.fork()
again = client.start("desk", {{"text": "y"}})
if child == 0:
    print(again)
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(again)
"""


def test_a_process_may_fork_and_may_just_end(desk: Any) -> None:
    """As web servers do with a client in a module's globals. Nothing hangs, nothing is said on stderr."""
    code = _SCRIPT.format(bootstrap=desk.bootstrap, prefix=desk.prefix)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(set(done.stdout.split())) == 2
