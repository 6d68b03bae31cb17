"""An embedder behind HTTP: what is asked, and what becomes of every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from aiosv3.memory.embedders import EmbedderUnavailable, EmbedderUnusable, RemoteEmbedder, RemoteModel

Answer = Callable[[httpx.Request], httpx.Response]


def embedder(answer: Any, **told: Any) -> RemoteEmbedder:
    model = RemoteModel("http://embed.test/v1", "small", **told)
    return RemoteEmbedder(model, SecretStr("key"), httpx.MockTransport(answer))


class Server:
    """Answers with the length of each text, last one first."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.running = self.most = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["authorization"]) == ("/v1/embeddings", "Bearer key")
        body = json.loads(request.content)
        self.bodies.append(body)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        rows = [{"index": place, "embedding": [len(text), 1]} for place, text in enumerate(body["input"])]
        return httpx.Response(200, json={"data": rows[::-1]})


async def test_many_texts_are_a_few_calls_and_come_back_in_order() -> None:
    server = Server()
    remote = embedder(server, batch=3, calls=2)
    found = await remote.embed(["x" * number for number in range(1, 11)])
    assert [len(body["input"]) for body in server.bodies] == [3, 3, 3, 1]
    assert server.most == 2
    assert [round(float(vector[0] / vector[1])) for vector in found] == list(range(1, 11))
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(10))
    await remote.close()


async def test_prefixes_and_dimensions() -> None:
    server = Server()
    remote = embedder(server, query_prefix="query: ", text_prefix="passage: ", dimensions=2)
    await remote.embed(["tea"])
    await remote.embed(["tea"], query=True)
    assert [body["input"] for body in server.bodies] == [["passage: tea"], ["query: tea"]]
    assert server.bodies[0]["dimensions"] == 2
    assert remote.name == "small/2/passage:"
    assert await remote.embed([]) == []
    await remote.close()


async def test_an_empty_text_is_no_error() -> None:
    server = Server()
    remote = embedder(server)
    await remote.embed([""])
    assert server.bodies[0] == {"model": "small", "input": [" "], "encoding_format": "float"}
    await remote.close()


def says(status: int, **body: Any) -> Answer:
    return lambda _request: httpx.Response(status, json=body)


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize("answer", [says(503), says(429), says(500), says(408), breaks])
async def test_what_another_try_may_better(answer: Answer) -> None:
    await _fails(answer, EmbedderUnavailable)


@pytest.mark.parametrize(
    "answer",
    [
        says(401),
        says(404),
        says(200),
        says(200, data=[]),
        says(200, data=[{"index": 1, "embedding": [1.0]}]),
        says(200, data=[{"index": 0, "embedding": [0.0, 0.0]}]),
        says(200, data=[{"index": 0, "embedding": "AAAA"}]),
        lambda _request: httpx.Response(200, text="<html>"),
    ],
)
async def test_what_is_no_embedder(answer: Answer) -> None:
    await _fails(answer, EmbedderUnusable)


async def _fails(answer: Answer, kind: type[Exception]) -> None:
    remote = embedder(answer)
    with pytest.raises(kind):
        await remote.embed(["tea"])
    await remote.close()
