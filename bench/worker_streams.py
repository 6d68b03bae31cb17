"""What a model worker adds to a streamed call, against bare aiohttp that reads the same bytes: in pairs, in one run.

    python bench/worker_streams.py [--pairs 3]

The endpoint is a process of its own (``sse_server.py``). Bare is one aiohttp session, as the worker has it, and throws
away what it reads; the worker reads a request, calls, parses each event, and encodes the completion. Callers start one
after the other within the time of one answer, as they do in life.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from measures import Watch

from aiosv3.router.endpoints import Place, open_endpoint
from aiosv3.router.pools import Pool, Price
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Message, ModelRequest, Prompt, Role
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Record

NOW = 1_750_000_000_000
ASKED = b'{"model": "m", "messages": [{"role": "user", "content": "Say something."}], "stream": true}'
Call = Callable[[int], Awaitable[object]]


class Run(NamedTuple):
    """``took``: seconds of each call; ``cpu``: seconds of processor time in all; ``wall``: of the whole run."""

    took: list[float]
    cpu: float
    wall: float

    @property
    def p50(self) -> float:
        return statistics.median(self.took) * 1e3

    @property
    def p99(self) -> float:
        return sorted(self.took)[int(len(self.took) * 0.99)] * 1e3

    @property
    def cpu_ms(self) -> float:
        return self.cpu / len(self.took) * 1e3

    def figures(self) -> dict[str, float]:
        """For a document."""
        calls_s = len(self.took) / self.wall
        found = {"p50_ms": self.p50, "p99_ms": self.p99, "cpu_ms": self.cpu_ms, "calls_s": calls_s}
        return {name: round(value, 3) for name, value in found.items()}


@contextmanager
def endpoint(tokens: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Port and process of a server that streams so."""
    command = [sys.executable, str(Path(__file__).with_name("sse_server.py")), str(tokens), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline()), server.pid
        finally:
            server.kill()


async def measured(callers: int, each: int, spread: float, call: Call) -> Run:
    """``callers`` at once, started over ``spread`` seconds, each with ``each`` calls in a row, after one to connect."""
    took: list[float] = []

    async def caller(number: int) -> None:
        await asyncio.sleep(spread * number / callers)
        for _ in range(each):
            began = time.perf_counter()
            await call(number)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(call(number) for number in range(callers)))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return Run(took, time.process_time() - cpu, time.perf_counter() - wall)


@asynccontextmanager
async def bare(port: int, _callers: int) -> Any:
    """A call of plain aiohttp."""
    url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"content-type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(_number: int) -> None:
            async with session.post(url, data=ASKED, headers=headers) as response:
                async for _ in response.content.iter_any():
                    pass

        yield call


@asynccontextmanager
async def worker(port: int, callers: int) -> Any:
    """A call of a model worker: from the record that it reads to the record that it would append."""
    codec = Codec(SchemaStore())
    served = open_endpoint("openai", Place(f"http://127.0.0.1:{port}/v1", in_flight=callers))
    pool = Pool("own", "openai", "m", Clearance.RESTRICTED, Price(1, 1))
    policy = WorkerPolicy(concurrency=callers)
    made = ModelWorker(pool, served, Topics(), codec.store, codec, lambda: NOW, policy)
    prompt = Prompt((Message(Role.USER, "Say something."),), None, 400)
    body = codec.encode(ModelRequest("task-1/2", "root-1", "task-1", "2", "a", prompt))
    headers = [
        ("ce_id", b"task-1/2"),
        (GRANT, Grant("t", "root-1", Clearance.PUBLIC, None, None, 1).encode()),
        (ROUTE, Route("a", 0.2, 10, 10, first_sent=NOW, hash="h1").encode()),
        (REPLY, Reply("aios.journal.a", 1, 7, "task-1", "2", "tok").encode()),
    ]

    async def call(number: int) -> None:
        request = made.read(Record("aios.prompts.own", 3, number, NOW, b"k", body, headers))
        assert isinstance(request, Request)
        answer = made.work(request, 4)
        assert not isinstance(answer, tuple)
        assert made.guard.breaker.failures == 0
        await answer

    yield call
    assert made.guard.breaker.opened == 0
    await served.aclose()


async def pair(port: int, callers: int, each: int, spread: float) -> tuple[Run, Run]:
    """Both ways, one after the other."""
    runs = []
    for way in (bare, worker):
        async with way(port, callers) as call:
            runs.append(await measured(callers, each, spread, call))
    return runs[0], runs[1]


def figures(pairs: int) -> Iterator[dict[str, Any]]:
    """One row for each number of streams at once; ``endpoint_busy``: the share of a core that the endpoint has used."""
    for tokens, seconds, callers, each in ((20, 0.0, 1, 200), (20, 0.5, 16, 5), (20, 0.5, 64, 5), (60, 6.0, 500, 2)):
        with endpoint(tokens, seconds) as (port, process):
            watch = Watch({"endpoint": process, "callers": os.getpid()})
            runs = [asyncio.run(pair(port, callers, each, seconds)) for _ in range(pairs)]
            busy = watch.report()
        theirs, ours = sorted(runs, key=lambda both: both[1].p50 - both[0].p50)[len(runs) // 2]
        added = [mine.p50 - other.p50 for other, mine in runs]
        yield {
            "streams": callers,
            "tokens": tokens,
            "seconds": seconds,
            "added_p50_ms": round(statistics.median(added), 3),
            "added_p50_ms_pairs": [round(one, 3) for one in added],
            "ours": ours.figures(),
            "bare": theirs.figures(),
            "endpoint_busy": round(busy.cpu.get("endpoint", 0.0) / busy.wall, 2),
            "load": [round(one, 2) for one in busy.load],
            "others_share": round(busy.others, 3),
        }


def words(row: dict[str, Any]) -> str:
    """A row as people read it."""
    ours, bare, load = row["ours"], row["bare"], row["load"]
    parts = [
        f"{row['streams']} at once, {row['tokens']} tokens in {row['seconds']:g} s",
        f"adds p50 {row['added_p50_ms']:.2f} ms",
        f"p50 {ours['p50_ms']:.1f} against {bare['p50_ms']:.1f}, p99 {ours['p99_ms']:.1f} against {bare['p99_ms']:.1f}",
        f"CPU a call {ours['cpu_ms']:.2f} against {bare['cpu_ms']:.2f} ms",
        f"{ours['calls_s']:.0f} calls/s",
        f"endpoint {row['endpoint_busy']:.0%} of a core",
        f"load {load[0]:.1f} to {load[1]:.1f}, others {row['others_share']:.0%}",
    ]
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}", flush=True)
    for row in figures(options.pairs):
        print(words(row), flush=True)


if __name__ == "__main__":
    main()
