"""Work that is undone when it is cancelled."""

from datetime import timedelta

from restate import Context, Service, TerminalError
from world import release, reserve

program = Service("Program")


@program.handler()
async def run(ctx: Context, order: str) -> str:
    await ctx.run_typed("reserve", reserve, order=order)
    try:
        await ctx.sleep(timedelta(seconds=600))
    except TerminalError:
        await ctx.run_typed("release", release, order=order)
        raise
    return "paid"
