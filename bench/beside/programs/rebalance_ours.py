"""A worker among several, which leaves a line at each change of what it owns.

    python rebalance_ours.py BOOTSTRAP PREFIX PARTITIONS

It prints ``ready`` when it owns something. It leaves ``o PARTITION TIME`` where it is at work on one, restored, and
``v PARTITION TIME`` where it has given one back, or lost it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from stream_ours import AGENTS, settings
from work import seen

from aiosv3.agents import Limits
from aiosv3.app.workers import agent_processor, open_mesh, serve
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Phase

AT_ONCE = 1_000


async def watched(processor: Processor) -> None:
    """Looks every few milliseconds, and once more at the end."""
    owned: dict[str, int] = {}
    try:
        while True:
            owned = looked(processor, owned)
            await asyncio.sleep(0.005)
    finally:
        looked(processor, owned)


def looked(processor: Processor, before: dict[str, int]) -> dict[str, int]:
    """The partitions at work here, by the ownership that each is of."""
    now = {str(place): id(each) for place, each in processor.tenures.items() if each.phase is Phase.RUNNING}
    for place in [place for place, each in before.items() if now.get(place) != each]:
        seen("v", place)
    for place in [place for place, each in now.items() if before.get(place) != each]:
        seen("o", place)
    if now and not before:
        print("ready", flush=True)
    return now


async def main(bootstrap: str, prefix: str, partitions: str) -> None:
    made = settings(bootstrap, prefix, int(partitions), os.environ["AIOSV3_BENCH_STATE"])
    async with open_mesh(made, "bench-rebalance") as mesh:
        processor = await agent_processor(mesh, replace(AGENTS["works"], limits=Limits()), live_limit=AT_ONCE)
        await serve(mesh, processor, [lambda: watched(processor)])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
