"""Callers of a model, each with one call after the other: prints what the calls took, as JSON.

    python bench/callers.py http URL [HEADER=VALUE …] CALLERS CALLS
    python bench/callers.py mesh BOOTSTRAP PREFIX CALLERS CALLS

``http``: one httpx client for each caller (httpx at its fastest) on an OpenAI-compatible endpoint or gateway. ``mesh``:
each call is a record on ``prompts``, as an agent's, and is over when its answer is on the caller's journal. ``CALLS``
are in all, after one of each caller that is not counted.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from confluent_kafka import Consumer, TopicPartition
from rounds import Call, told
from router_fill import ASKER, TEXT, asked, bench_settings

from aiosv3.app.topology import base_topics
from aiosv3.app.workers import clock, open_mesh
from aiosv3.schemas.records import JournalRecord, Outcome
from aiosv3.streams.kafka import TopicSpec, ensure_topics
from aiosv3.streams.tenure import appended

ASKED = {"model": "slow", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 64}


@asynccontextmanager
async def http(callers: int, url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    """A call by HTTP; its answer is read whole."""
    clients = [httpx.AsyncClient(trust_env=False, timeout=60, headers=headers) for _ in range(callers)]

    async def call(number: int) -> None:
        answer = await clients[number].post(url, json=ASKED)
        if answer.status_code != 200 or not answer.json()["choices"]:
            raise SystemExit(f"{url} answered {answer.status_code}: {answer.text[:300]}")

    yield call
    await asyncio.gather(*(client.aclose() for client in clients))


class Answers:
    """The caller's journal, read on a thread: a future for each task that waits."""

    def __init__(self, bootstrap: str, topic: str, start: int) -> None:
        self.waiting: dict[str, asyncio.Future[bytes]] = {}
        self._loop = asyncio.get_running_loop()
        settings = {"bootstrap.servers": bootstrap, "group.id": "bench-callers", "fetch.wait.max.ms": 100}
        self._consumer = Consumer(settings)
        self._consumer.assign([TopicPartition(topic, 0, start)])
        self._open = True

    def read(self) -> None:
        """Until :meth:`close`."""
        while self._open:
            first = self._consumer.poll(0.1)
            if first is not None and first.error() is None:
                more = [each for each in self._consumer.consume(499, 0) if each.error() is None]
                found = [(each.key() or b"", each.value() or b"") for each in (first, *more)]
                self._loop.call_soon_threadsafe(self._arrived, found)
        self._consumer.close()

    def _arrived(self, found: list[tuple[bytes, bytes]]) -> None:
        for key, value in found:
            waits = self.waiting.pop(key.decode(), None)
            if waits is not None and not waits.done():
                waits.set_result(value)

    def close(self) -> None:
        self._open = False


@asynccontextmanager
async def mesh(bootstrap: str, prefix: str) -> AsyncIterator[Call]:
    """A call over the mesh; its answer is decoded."""
    settings = bench_settings(bootstrap, prefix)
    async with open_mesh(settings, "bench-callers") as open_:
        topics, codec = open_.topics, open_.codec
        journal = TopicSpec(topics.journal(ASKER), settings.kafka.partitions, "keep")
        await ensure_topics(open_.connection, [*base_topics(settings, topics), journal])
        answers = Answers(bootstrap, topics.journal(ASKER), (await open_.log.bounds(journal.name, 0)).end)
        reading = asyncio.create_task(asyncio.to_thread(answers.read))

        async def call(number: int) -> None:
            task = f"{number}-{uuid.uuid4()}"
            waits = answers.waiting[task] = asyncio.get_running_loop().create_future()
            await appended(open_.log, asked(codec, topics, task, number, clock()))
            async with asyncio.timeout(60):
                answer = codec.decode_as(JournalRecord, await waits)
            if answer.outcome is not Outcome.OK:
                raise SystemExit(f"the call failed: {answer.error}")

        yield call
        answers.close()
        await reading


async def main(kind: str, *rest: str) -> None:
    if kind == "http":
        url, *headers, callers, calls = rest
        way = http(int(callers), url, dict(each.split("=", 1) for each in headers))
    else:
        bootstrap, prefix, callers, calls = rest
        way = mesh(bootstrap, prefix)
    async with way as call:
        await told(int(callers), int(calls), call)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
