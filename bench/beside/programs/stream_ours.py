"""The same work on this project: an agent in a worker of its own.

    python stream_ours.py BOOTSTRAP PREFIX PARTITIONS CONCURRENCY AGENT

``noop`` does nothing, ``waits`` and ``keyed`` wait by a timer of their journal, ``works`` does what it does in a step,
``pooled`` too, but only so many at once in a process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from agents_for_bench import Labelled, Ticket, keyed, noop
from work import INSTANCE, seen

from aiosv3.agents import Context, Limits, agent
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, serve


def labelled(ticket: Ticket) -> Labelled:
    """The result of a ticket."""
    return Labelled(id=ticket.id, label="x", note=ticket.text, priority=ticket.priority, amount=ticket.amount)


@agent
async def waits(_ctx: Context, ticket: Ticket) -> Labelled:
    """A pause that outlives the process."""
    await asyncio.sleep(ticket.amount)
    return labelled(ticket)


@agent
async def works(ctx: Context, ticket: Ticket) -> Labelled:
    """One step, which does what the other programs do in their handlers."""

    async def effect() -> None:
        seen("b", ticket.id)
        await asyncio.sleep(ticket.amount)
        seen("e", ticket.id)

    await ctx.run(effect)
    return labelled(ticket)


@agent
async def pooled(ctx: Context, ticket: Ticket) -> Labelled:
    """One step, which needs one of the few connections that its process has."""

    async def effect() -> None:
        async with CONNECTIONS:
            await asyncio.sleep(ticket.amount)

    await ctx.run(effect)
    return labelled(ticket)


CONNECTIONS = asyncio.Semaphore(int(os.environ.get("AIOSV3_BENCH_CONNECTIONS", "50")))
AGENTS = {each.name: each for each in (noop, waits, keyed, works, pooled)}


def settings(bootstrap: str, prefix: str, partitions: int, folder: str) -> Settings:
    """Of workers and of whoever sends them tasks."""
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=partitions, instance=INSTANCE)
    return Settings(kafka=kafka, state=Path(folder))


async def main(bootstrap: str, prefix: str, partitions: str, concurrency: str, name: str) -> None:
    made = settings(bootstrap, prefix, int(partitions), os.environ["AIOSV3_BENCH_STATE"])
    async with open_mesh(made, f"bench-{name}") as mesh:
        chosen = replace(AGENTS[name], limits=Limits())
        processor = await agent_processor(mesh, chosen, live_limit=int(concurrency))

        async def told() -> None:
            while not processor.tenures or not all(each.may_commit() for each in processor.tenures.values()):
                await asyncio.sleep(0.005)
            print("ready", flush=True)
            await asyncio.Event().wait()

        await serve(mesh, processor, [told])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
