"""How whole calls are measured: the endpoint, the callers, the rows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from measures import Busy, percentile
from router_calls import DELAY_MS, Found, Way, direct, found, lines, one, python, rounds, row, slow_endpoint
from slow_endpoint import STREAMED, WHOLE, Answers, body_length


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with slow_endpoint() as (port, _):
        yield port


def test_callers_are_measured_on_a_real_endpoint(port: int) -> None:
    answer, busy = one(direct(port), 2, 6, {})
    assert len(answer["took_ms"]) == 6
    assert percentile(answer["took_ms"], 0.0) >= DELAY_MS
    assert set(busy.cpu) <= {"callers"}


def test_callers_that_fail_are_no_figure(port: int, tmp_path: Path) -> None:
    (tmp_path / "gateway.log").write_text("it said this", encoding="utf-8")
    url = f"http://127.0.0.1:{port}/v1/models?"
    lost = Way("lost", python("callers.py", "http", url.replace(str(port), "1")), {}, tmp_path)
    words = "lost: the callers did not begin\n--- gateway.log\nit said this"
    with pytest.raises(SystemExit, match=re.escape(words)):
        one(lost, 1, 1, {})


def test_a_row_is_made_of_pairs() -> None:
    busy = Busy((1.0, 2.0), 1.0, {"router": 0.25}, 0.1)
    bare = Found([[50.0, 51.0, 52.0], [90.0, 91.0, 92.0]], [1.0, 1.0], [busy, busy])
    ours = Found([[53.0, 54.0, 55.0], [95.0, 96.0, 97.0]], [10.0, 20.0], [busy, busy])
    made = row(ours, bare)
    assert made["added_p50_ms_rounds"] == [3.0, 5.0]
    assert made["added_p50_ms"] == 4.0
    assert made["added_p99_ms"] == 5.0
    assert made["calls_s"] == 15.0
    assert made["cpu_ms_a_call"] == {"router": 83.333}
    (line,) = lines(1, {"aiosv3": made})
    assert "adds p50    4.00 ms" in line
    assert "load 1.0-2.0, others 10%" in line


def test_something_else_is_measured_between_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def one(way: Way, callers: int, _calls: int, _besides: object) -> tuple[dict[str, Any], Busy]:
        done.append(way.name)
        return {"took_ms": [50.0], "calls_s": 1.0}, Busy((1.0, 1.0), 1.0, {}, 0.0)

    monkeypatch.setattr("router_calls.one", one)
    monkeypatch.setattr("router_calls.CALLS", {1: 10, 16: 10})
    ways = [direct(1), Way("ours", [], {})]
    assert [callers for callers, _ in rounds(ways, 2, {}, between=done.append)] == [1, 16]
    assert done == [1, "direct", "ours", 1, "ours", "direct", 16, "direct", "ours", 16, "ours", "direct"]


def test_what_libraries_print_is_passed_over() -> None:
    said = iter(["INFO joined\n", "ready\n", "noise\n", "{}\n"])
    assert found(said, "ready") == "ready\n"
    assert found(said, "{") == "{}\n"
    assert found(said, "{") == ""


def test_the_endpoint_knows_where_a_body_ends() -> None:
    assert body_length(b"POST / HTTP/1.1\r\nContent-Length: 12\r\nhost: x") == 12
    assert body_length(b"GET / HTTP/1.1\r\nhost: x") == 0
    with pytest.raises(ValueError, match="chunks"):
        body_length(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked")


async def test_the_endpoint_streams_where_it_is_asked_to() -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Answers(0.0), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for asked, answer in ((True, STREAMED), (False, WHOLE)):
        body = json.dumps({"stream": asked}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer.write(head)  # in two pieces, as a network may bring it
        await writer.drain()
        writer.write(body)
        assert await reader.readexactly(len(answer)) == answer
    writer.close()
    await writer.wait_closed()
    server.close()
