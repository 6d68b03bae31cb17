"""Model calls side by side, and their answers together."""

import asyncio

from aiosv3.agents import Context, agent


@agent
async def fan_out(ctx: Context, cities: list[str]) -> str:
    facts = await asyncio.gather(*(ctx.generate(f"A fact about {city}") for city in cities))
    return "\n".join(facts)
