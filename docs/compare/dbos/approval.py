"""A person's yes, within a time."""

from typing import TypedDict

from dbos import DBOS
from steps import ask


class Mail(TypedDict):
    topic: str
    seconds: float


@DBOS.workflow()
async def run(mail: Mail) -> str:
    await ask(f"Draft a mail about {mail['topic']}")
    decision = await DBOS.recv_async("decision", timeout_seconds=mail["seconds"])
    if decision is None:
        return "nobody answered"
    if not decision["approved"]:
        return f"denied by {decision['who']}"
    return f"sent, approved by {decision['who']}"
