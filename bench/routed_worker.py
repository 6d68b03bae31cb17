"""An agent worker that prints what each ``generate`` took, in milliseconds, one a line."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from agents_for_bench import Labelled, Ticket

from aiosv3.agents import Context, agent
from aiosv3.app.settings import load_settings
from aiosv3.app.workers import agent_processor, open_mesh


@agent(name="asks")
async def timed(ctx: Context, ticket: Ticket) -> Labelled:
    """Times the step from inside; a benchmark may look at the clock."""
    began = time.perf_counter()
    text = await ctx.generate(ticket.text, max_tokens=16)
    print((time.perf_counter() - began) * 1_000, flush=True)
    return Labelled(id=ticket.id, label=text, note="", priority=1, amount=1.0)


async def main() -> None:
    async with open_mesh(load_settings(Path(sys.argv[1])), "bench") as mesh:
        processor = await agent_processor(mesh, timed)
        await processor.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
