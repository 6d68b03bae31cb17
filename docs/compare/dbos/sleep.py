"""A pause that a restart does not lengthen."""

from typing import TypedDict

from dbos import DBOS
from steps import ask


class Reminder(TypedDict):
    topic: str
    seconds: float


@DBOS.workflow()
async def run(reminder: Reminder) -> str:
    first = await ask(f"Announce {reminder['topic']}")
    await DBOS.sleep_async(reminder["seconds"])
    return await ask(f"Remind of {first}")
