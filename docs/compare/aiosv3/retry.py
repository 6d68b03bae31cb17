"""A model call that is tried again."""

from aiosv3.agents import Context, agent


@agent
async def retry(ctx: Context, report: str) -> str:
    summary = await ctx.generate(f"Summarise {report}")
    return await ctx.generate(f"A title for {summary}")
