"""Model calls side by side, and their answers together."""

import restate
from restate import Context, Service
from world import ask

program = Service("Program")


@program.handler()
async def run(ctx: Context, cities: list[str]) -> str:
    facts = [ctx.run_typed(f"fact {city}", ask, prompt=f"A fact about {city}") for city in cities]
    await restate.gather(*facts)
    return "\n".join([await fact for fact in facts])
