"""An agent that keeps a conversation, for workers that are killed."""

from __future__ import annotations

from pydantic import BaseModel

from aiosv3.agents import Context, agent
from aiosv3.agents.remembering import Window

LOOK = 1_000


class Line(BaseModel):
    """What a task brings: the number of what is said; 1,000 and more: nothing is said."""

    number: int


@agent
async def talker(ctx: Context, line: Line) -> list[str]:
    """Answers, and says all that its prompt stood for."""
    said = None if line.number >= LOOK else f"q{line.number}"
    talk = await ctx.dialogue("call-7", said, subject="ada", window=Window(turns=6), summarize=said is not None)
    saw = (talk.summary.text.split() if talk.summary else []) + [turn.text for turn in talk.turns]
    if said is not None:
        await talk.add("assistant", await ctx.generate(talk.prompt, system=f"Answer {said}."))
    return saw
