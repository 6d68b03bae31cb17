"""Work that is undone when it is cancelled."""

import asyncio
from functools import partial

from world import release, reserve

from aiosv3.agents import Context, agent


@agent
async def cancel(ctx: Context, order: str) -> str:
    await ctx.run(partial(reserve, order))
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await ctx.run(partial(release, order))
        raise
    return "paid"
