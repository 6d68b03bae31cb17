"""The client that blocks: on threads, inside of a running loop, after a fork, closed while somebody waits."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.agents.client.conftest import Office

from aiosv3.agents import Context, SyncClient, agent
from aiosv3.agents.client import ClientClosed, Finished, NotFinished, Started, link
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.errors import BrokerUnavailable

SECONDS = 30


@agent
async def echo(ctx: Context, text: str) -> str:
    return await ctx.receive("more", str) if text == "listen" else text


class Elsewhere:
    """An office on a loop and a thread of its own: nothing of a SyncClient's test is on the loop of the test."""

    def __init__(self) -> None:
        self.office: Any = None

    def client(self) -> SyncClient:
        @asynccontextmanager
        async def linked() -> Any:
            # Broker, worker and client on the client's own loop: the double knows one loop only.
            office = Office()
            await office.work(echo)
            self.office = office
            link = office.link()
            yield link
            await link.follower.close()
            await office.close()

        return SyncClient(link=linked)


@pytest.fixture
def client() -> Iterator[SyncClient]:
    with Elsewhere().client() as made:
        yield made


def test_a_task_from_code_without_a_loop(client: SyncClient) -> None:
    handle = client.start(echo, "hello")
    assert handle.result(timeout=SECONDS) == "hello"
    assert handle.ended(timeout=SECONDS).output == "hello"
    assert (TaskHandle.parse(str(handle)), handle.place.task_id) == (handle.place, handle.id)
    assert client.handle(str(handle), echo).result(timeout=0) == "hello"
    assert client.handle(str(handle)).result(timeout=0) == "hello"


def test_messages_cancel_and_events(client: SyncClient) -> None:
    handle = client.start(echo, "listen")
    with pytest.raises(NotFinished):
        handle.result(timeout=0)
    events = handle.events()
    assert isinstance(next(events), Started)
    handle.send("more", "done")
    (last,) = list(events)
    assert isinstance(last, Finished)
    assert last.output == "done"
    left = client.start(echo, "listen")
    for _ in left.events():
        break
    left.cancel()
    assert left.ended(timeout=SECONDS).outcome.value == "CANCELLED"


async def test_inside_of_a_running_loop(client: SyncClient) -> None:
    """As in a notebook."""
    assert client.start(echo, "hello").result(timeout=SECONDS) == "hello"


def test_threads_share_one(client: SyncClient) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(client.start(echo, str(n)).result(timeout=SECONDS)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(found) == [str(n) for n in range(8)]


def test_closing_ends_the_thread_and_every_wait() -> None:
    client = Elsewhere().client()
    handle = client.start(echo, "listen")
    said: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            handle.result()
        except ClientClosed as error:
            said.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    waits.wait(SECONDS)
    thread = client._running()._thread
    client.close()
    client.close()
    waiter.join(SECONDS)
    assert len(said) == 1
    assert not thread.is_alive()
    for late in (lambda: client.start(echo, "x"), handle.result, handle.cancel):
        with pytest.raises(ClientClosed):
            late()


def test_it_connects_with_its_first_call_and_again_in_a_process_that_was_forked() -> None:
    client = Elsewhere().client()

    def runner_of() -> object:  # a type checker would remember that it was None
        return client._runner

    assert runner_of() is None
    handle = client.start(echo, "x")
    first = handle._runner
    assert runner_of() is first
    first.process = os.getpid() + 1  # as it looks from a child
    assert client.start(echo, "y").result(timeout=SECONDS) == "y"
    assert runner_of() is not first
    with pytest.raises(ClientClosed, match="before the process was forked"):
        handle.result()
    client.close()
    first.process = os.getpid()
    first.close()


def test_wrong_parameters_are_said_at_once() -> None:
    with pytest.raises(ValueError, match="address of a broker"):
        SyncClient()
    with pytest.raises(TypeError):
        SyncClient("b:1", prefixes="x")


def test_a_connection_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_FIRST_ANSWER_S", 0.3)
    client = SyncClient("127.0.0.1:9")
    before = threading.active_count()
    with pytest.raises(BrokerUnavailable):
        client.start("a", 1)
    assert threading.active_count() <= before


def test_its_own_thread_cannot_wait_for_itself(client: SyncClient) -> None:
    runner = client._running()

    async def inside() -> None:
        client.start(echo, "x")

    with pytest.raises(ClientClosed, match="on its own thread"):
        asyncio.run_coroutine_threadsafe(inside(), runner._loop).result(SECONDS)
