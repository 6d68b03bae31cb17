"""A model call that is tried again."""

from restate import Context, Service
from world import ask

program = Service("Program")


@program.handler()
async def run(ctx: Context, report: str) -> str:
    summary = await ctx.run_typed("summarise", ask, prompt=f"Summarise {report}")
    return await ctx.run_typed("title", ask, prompt=f"A title for {summary}")
