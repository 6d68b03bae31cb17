"""An agent that keeps memory beside conversations: summaries, and what is learned from them, in nobody's latency.

A project names it among its agents, ``aiosv3.agents.remembering.keeper:keeper``, or makes one of its own with
:func:`memory_keeper`. Work comes as task events, from an agent or from outside.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from aiosv3.agents.agent import Agent, Order, agent
from aiosv3.agents.context import Context
from aiosv3.agents.errors import ModelRefused
from aiosv3.agents.remembering.asking import ABOUT
from aiosv3.agents.remembering.dialogue import turns_from
from aiosv3.agents.remembering.extraction import Learnable, Learned
from aiosv3.agents.remembering.steps import WINDOW, whose_is
from aiosv3.agents.remembering.turns import Window

_TURNS_A_CALL: Final = 20
_CALLS: Final = 10
_CONVERSATIONS: Final = 200
"""Of a key, whose place is kept: the newest. One that comes again later is read again, and says nothing new."""


class Heard(BaseModel):
    """A conversation in which something was said, kept by ``ctx.dialogue``.

    ``scope``: that of its turns, which the keeper has to share; so an agent's own scope is none.
    """

    conversation: Annotated[str, Field(description="its name, as given to ctx.dialogue")]
    subject: Annotated[str | None, Field(description="whom or what it is about")] = None
    scope: Annotated[str, Field(pattern=r"^(tenant|team:.+)$", description="tenant or team:NAME")] = "tenant"


class Noted(BaseModel):
    """One thing that was learned, or known already."""

    action: Literal["added", "superseded", "known"]
    text: str
    kind: Learnable
    id: str
    position: int


class Done(BaseModel):
    """``summarized_to``: the number of the last turn in the summary. ``left``: turns that wait for the next time;
    ``refused``: turns of which the model said nothing that can be read, and that are not asked about again."""

    summarized_to: int | None
    learned: list[Noted] = []
    left: int = 0
    refused: int = 0


class Progress(BaseModel):
    """By conversation: the place on the memory log up to which its turns were learned from."""

    learned: dict[str, int] = {}


def memory_keeper(
    name: str = "memory-keeper",
    *,
    about: str | None = ABOUT,
    most: int = 8,
    window: Window = WINDOW,
    min_trust: int = 1,
    clearance: str = "public",
    budget: str | float = "0.10",
    deadline: timedelta = timedelta(hours=1),
    model: str | None = None,
    pool: str | None = None,
) -> Agent[Heard, Done]:
    """A keeper; its settings as those of ``@agent``, ``ctx.learn`` and ``ctx.dialogue``. ``about=None``: no learning.

    Tasks of one key follow each other, so give it the subject as its key: then two conversations with one customer do
    not learn the same twice. A task without a key is refused.
    """

    @agent(
        name=name,
        clearance=clearance,
        budget=budget,
        deadline=deadline,
        order=Order.SERIAL,
        state=Progress,
        model=model,
        pool=pool,
    )
    async def keep(ctx: Context[Progress], heard: Heard) -> Done:
        """Summarizes a conversation where that is due, and learns from the turns that are new in it."""
        talk = await ctx.dialogue(
            heard.conversation, subject=heard.subject, scope=heard.scope, window=window, min_trust=min_trust
        )
        done = Done(summarized_to=None if talk.summary is None else talk.summary.position)
        if about is not None:
            await _learn(ctx, heard, done, about, most, min_trust)
        return done

    return keep


async def _learn(ctx: Context[Progress], heard: Heard, done: Done, about: str, most: int, min_trust: int) -> None:
    """From the turns that are new since the last task that ended well."""
    whose = whose_is(ctx, heard.conversation, heard.subject, heard.scope, min_trust)
    places = ctx.state.learned
    turns, is_sure = await turns_from(ctx, whose, places.get(heard.conversation, 0))
    done.left = len(turns)
    if not is_sure:  # a turn that is not seen now would never be
        return
    for first in range(0, min(len(turns), _TURNS_A_CALL * _CALLS), _TURNS_A_CALL):
        some = turns[first : first + _TURNS_A_CALL]
        try:
            found = await ctx.learn(some, subject=heard.subject, scope=heard.scope, about=about, most=most)
        except ModelRefused:  # the same turns would be refused for ever, and nothing behind them looked at
            done.refused += len(some)
        else:
            done.learned += [_noted(one) for one in found]
        done.left -= len(some)
        places[heard.conversation] = (some[-1].place or 0) + 1
    for oldest in sorted(places, key=lambda one: places[one])[:-_CONVERSATIONS]:
        del places[oldest]


def _noted(one: Learned) -> Noted:
    return Noted(action=one.action, text=one.text, kind=one.kind, id=one.id, position=one.position)


keeper = memory_keeper()
