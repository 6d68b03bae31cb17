"""A model that calls tools until it knows."""

from world import weather

from aiosv3.agents import Context, agent


@agent
async def tool_loop(ctx: Context, question: str) -> str:
    return await ctx.loop("Help with travel plans.", prompt=question, tools=[weather])
