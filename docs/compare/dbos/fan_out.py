"""Model calls side by side, and their answers together."""

import asyncio

from dbos import DBOS
from steps import ask


@DBOS.workflow()
async def run(cities: list[str]) -> str:
    facts = await asyncio.gather(*(ask(f"A fact about {city}") for city in cities))
    return "\n".join(facts)
