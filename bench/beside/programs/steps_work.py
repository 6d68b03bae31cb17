"""Three steps of 1 KiB, and how they are asked for, in whichever environment they run. Plain Python.

A program prints ``ready``, takes commands by lines, and answers each with one line of JSON:

    sequential COUNT          one workflow after the other, for at most LONGEST_S seconds: {"took_ms": […]}
    together COUNT AT_ONCE    so many at once, none begun after LONGEST_S seconds: {"seconds": …, "took_ms": […]}
    flood COUNT AT_ONCE       workflows w-0, w-1, … with steps that take 10 ms: {"done": …}
    resume COUNT SECONDS      what a flood has left, until none ends for so long: {"done": …}
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

PAYLOAD = "x" * 1_024
STEPS = (1, 2, 3)
LONGEST_S = 10.0
_SEEN = os.environ.get("AIOSV3_BENCH_SEEN", "")
_FILE = os.open(_SEEN, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if _SEEN else -1


async def step(workflow: str, number: int) -> str:
    """A step's work. Each execution in a flood leaves a line as it begins, and one as it ends."""
    if not workflow.startswith("w-"):
        return PAYLOAD
    _seen("b", f"{workflow}/{number}")
    await asyncio.sleep(0.01)
    _seen("e", f"{workflow}/{number}")
    return PAYLOAD


def _seen(mark: str, name: str) -> None:
    if _FILE >= 0:
        os.write(_FILE, f"{mark} {name} {time.time():.6f}\n".encode())


def asked(workflow: str) -> None:
    """It is kept that this workflow was asked for: from here on it may not be lost."""
    _seen("q", workflow)


Run = Callable[[str], Awaitable[Any]]
"""Runs the workflow of this name to its end."""
Resume = Callable[[int, float], Awaitable[int]]
"""Given how many there were and how long to wait: how many have ended well."""
Flood = Callable[[int, int], Awaitable[int]]


async def together(run: Run, names: list[str], at_once: int, seconds: float = math.inf) -> list[float]:
    """Milliseconds of each, with so many at once; none is begun after ``seconds``."""
    left, took, end = iter(names), [], time.perf_counter() + seconds

    async def one() -> None:
        for name in left:
            began = time.perf_counter()
            await run(name)
            took.append((time.perf_counter() - began) * 1e3)
            if time.perf_counter() > end:
                return

    await asyncio.gather(*(one() for _ in range(at_once)))
    return took


async def serve(run: Run, resume: Resume, flood: Flood | None = None) -> None:
    """Takes commands until its input ends."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, *numbers = line.split()
        count, more = int(numbers[0]), float((numbers[1:] or ["1"])[0])
        mark = f"{verb[0]}{time.time_ns():x}"
        names = [f"{mark}-{number}" for number in range(count)]
        answer: dict[str, Any] = {}
        if verb == "sequential":
            answer["took_ms"] = await together(run, names, 1, LONGEST_S)
        elif verb == "together":
            began = time.perf_counter()
            answer["took_ms"] = await together(run, names, int(more), LONGEST_S)
            answer["seconds"] = time.perf_counter() - began
        elif verb == "flood" and flood is not None:
            answer["done"] = await flood(count, int(more))
        elif verb == "flood":
            answer["done"] = len(await together(run, [f"w-{number}" for number in range(count)], int(more)))
        elif verb == "resume":
            answer["done"] = await resume(count, more)
        print(json.dumps(answer), flush=True)


async def polled(count: Callable[[], Awaitable[int]], wanted: int, seconds: float) -> int:
    """Asks how many are done until all are, or none has come to its end for so long."""
    done, since = -1, time.monotonic()
    while (now := await count()) < wanted:
        if now > done:
            done, since = now, time.monotonic()
        if time.monotonic() - since > seconds:
            return now
        await asyncio.sleep(0.1)
    return now
