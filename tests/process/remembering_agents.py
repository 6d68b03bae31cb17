"""An agent that keeps a conversation and learns from it."""

from __future__ import annotations

from pydantic import BaseModel

from aiosv3.agents import Context, agent
from aiosv3.agents.remembering import Window


class Line(BaseModel):
    """What a task brings: the number of what is said."""

    number: int


class Heard(BaseModel):
    """``saw``: all that the prompt stood for. ``learned``: what became of the note. ``known``: the facts after it."""

    saw: list[str]
    learned: list[str]
    known: list[str]


@agent
async def listener(ctx: Context, line: Line) -> Heard:
    """Answers, and learns from what was said."""
    talk = await ctx.dialogue("call-7", f"q{line.number}", subject="ada", window=Window(turns=4))
    saw = (talk.summary.text.split() if talk.summary else []) + [turn.text for turn in talk.turns]
    await talk.add("assistant", await ctx.generate(talk.prompt, system=f"Answer q{line.number}."))
    learned = await ctx.learn(talk.turns[-1:], subject="ada")
    known = await ctx.recall("what does ada like", subject="ada", kinds=["fact"])
    return Heard(saw=saw, learned=[f"{one.action} {one.text}" for one in learned], known=[one.text for one in known])
