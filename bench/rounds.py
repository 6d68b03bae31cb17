"""Callers with one call after the other, in step with whoever measures them. Plain Python: peers use it too.

A process of callers prints ``ready`` when each has made a call that is not counted, begins at a line on its standard
input, and prints what the calls took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

Call = Callable[[int], Awaitable[None]]


async def measured(callers: int, calls: int, call: Call) -> dict[str, object]:
    """``calls`` in all by ``callers``; ``took_ms``: of each; ``cpu_ms``: of this process, a call."""
    took: list[float] = []
    left = calls

    async def caller(number: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await call(number)
            took.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(call(number) for number in range(callers)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    wall = time.perf_counter() - began
    return {"took_ms": took, "calls_s": calls / wall, "cpu_ms": (time.process_time() - cpu) / calls * 1e3}


async def told(callers: int, calls: int, call: Call) -> None:
    """Prints what was measured."""
    print(json.dumps(await measured(callers, calls, call)), flush=True)
