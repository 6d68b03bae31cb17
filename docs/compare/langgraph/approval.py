"""A person's yes, within a time (which whoever runs the graph must keep: see harness.py)."""

import time
from typing import Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.types import interrupt
from tasks import ask


class Mail(TypedDict):
    topic: str
    seconds: float


@task
async def due_after(seconds: float) -> float:
    return time.time() + seconds


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(mail: Mail) -> str:
        draft = await ask(f"Draft a mail about {mail['topic']}")
        due = await due_after(mail["seconds"])
        decision = interrupt({"question": f"Send {draft!r}?", "due": due})
        if decision == "late":
            return "nobody answered"
        if not decision["approved"]:
            return f"denied by {decision['who']}"
        return f"sent, approved by {decision['who']}"

    return run
