"""Summaries of conversations: what one covers, who makes the next one, and how.

A summary is a memory of its own, of which each is the next version of the one before. Its first line says which turns
are in it: those before an offset of the memory log. All of a conversation lies in one partition, so that is an order,
and a turn that lands later, whatever its number, is in no summary yet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aiosv3.agents.memory import Memories, Memory, Remembered
from aiosv3.agents.remembering.asking import DATA_ONLY, Model, asked_of, data_block
from aiosv3.agents.remembering.turns import Turn, Window, as_told, tokens_in
from aiosv3.schemas.memory import headed

if TYPE_CHECKING:
    from aiosv3.agents.context import Context

LEASE: Final = timedelta(minutes=10)
"""How long nobody else makes a summary that somebody has begun."""
LATE: Final = timedelta(minutes=1)
"""How long a conversation waits for the model that summarizes it, unless it is said."""
LONGEST_TURN: Final = 4_000
"""Characters of one turn that the model is shown."""
MOST_TOKENS: Final = 8_000
"""Of turns that go into one summary; what is left goes into the next one."""
_CHARACTERS_A_TOKEN: Final = 6
_COVERS: Final = re.compile(r".* > turns to (\d+) > before memory\.events/(\d+)/(\d+) > (\w+/\d)\Z")
_INSTRUCTIONS: Final = (
    "You keep the summary of a conversation, for somebody who goes on with it and does not see its older turns. You "
    "get the summary so far, if there is one, and the turns that came after it. Write the summary of all that: who "
    "wants what, what was said, decided and promised, what is open; names, numbers and dates as they were said. Leave "
    "out nothing of the old summary that still matters. At most {words} words. Answer with the summary alone.\n"
    + DATA_ONLY
)


@dataclass(frozen=True, slots=True)
class Whose:
    """A conversation, and where its memories lie. ``view``: class and trust of who looks.

    Who sees less of a conversation has a summary of their own: another one would stand for turns that are not in it.
    """

    conversation: str
    subject: str | None
    scope: str
    min_trust: int
    view: str

    @property
    def named(self) -> str:
        """The conversation, on one line."""
        return " ".join(self.conversation.split())


@dataclass(frozen=True, slots=True)
class Summary:
    """``text`` stands for all turns that lie before ``before`` in ``partition`` of the memory log.

    ``position``: the highest number among them. ``trust``: the least that a turn in it has.
    """

    text: str
    position: int
    partition: int
    before: int
    trust: int = 1
    id: str | None = None

    def written(self, whose: Whose) -> str:
        """As a memory has it."""
        covers = f"before memory.events/{self.partition}/{self.before}"
        return headed((whose.named, f"turns to {self.position}", covers, whose.view), self.text)


def summary_of(memory: Memory, whose: Whose) -> Summary | None:
    """What a memory says as a summary; None for one that is none, or somebody else's."""
    found = _COVERS.match(memory.heading)
    if found is None or found[4] != whose.view:
        return None
    text = memory.text.partition("\n")[2].strip()
    return Summary(text, int(found[1]), int(found[2]), int(found[3]), memory.trust, memory.id)


def newest(found: Memories, whose: Whose) -> Summary | None:
    """The summary that covers most."""
    told = (summary_of(memory, whose) for memory in found)
    return max((one for one in told if one is not None), key=lambda one: one.before, default=None)


def uncovered(turns: Sequence[Turn], summary: Summary | None) -> list[Turn]:
    """The turns that are in no summary."""
    if summary is None:
        return list(turns)
    return [turn for turn in turns if turn.place is None or turn.place >= summary.before]


async def look_up(ctx: Context, whose: Whose) -> Memories:
    """The summaries of a conversation: one for each class and trust that somebody looked at it with."""
    return await ctx.recall(
        k=20,
        kinds=["summary"],
        sources=[whose.conversation],
        subject=whose.subject,
        scope=whose.scope,
        min_trust=whose.min_trust,
    )


async def summarize(
    ctx: Context, whose: Whose, before: Summary | None, turns: Sequence[Turn], after: int, window: Window, model: Model
) -> Summary | None:
    """The next summary: ``before`` and ``turns``, in the order of the log; ``after``: where the turn after them lies.

    Another task's where that was quicker; None where another task makes it now. Raises what ``generate``, ``remember``
    and ``recall`` raise.
    """
    begun = await _begin(ctx, whose, before)
    if not isinstance(begun, Remembered):
        return begun
    some = _part(turns)
    text = await _written(ctx, before, some, window, model)
    if not text:
        return None
    covered = after if len(some) == len(turns) else turns[len(some)].place
    trust = min([turn.trust for turn in some] + ([] if before is None else [before.trust]))
    position = max([turn.position for turn in some] + ([] if before is None else [before.position]))
    made = Summary(text, position, begun.partition, covered or 0, min(trust, 1))
    await ctx.remember(
        made.written(whose),
        subject=whose.subject,
        kind="summary",
        scope=whose.scope,
        key=f"{whose.conversation}\t{whose.view}",
        source=whose.conversation,
        position=position,
        trust=made.trust,
        model=asked_of(ctx, model),
    )
    return made


def _part(turns: Sequence[Turn]) -> list[Turn]:
    """As many of them, oldest first, as one prompt should have."""
    some: list[Turn] = []
    left = MOST_TOKENS
    for turn in turns:
        left -= tokens_in([replace(turn, text=turn.text[:LONGEST_TURN])])
        if some and left < 0:
            break
        some.append(turn)
    return some


async def _begin(ctx: Context, whose: Whose, before: Summary | None) -> Remembered | Summary | None:
    """Says on the log that this task makes the summary after ``before``; None where another one said so first, and the
    summary where that is there already.

    Of all who say so the first counts: the log has an order, and each of them sees it up to what they have said.
    """
    base = 0 if before is None else before.before
    source = "\t".join((whose.conversation, whose.view, str(base)))  # no name of a conversation has a tab
    noted = await ctx.remember(
        f"a summary of {whose.named} is being made",
        subject=whose.subject,
        kind="summary",
        scope=whose.scope,
        key=f"{source}\t{ctx.task_id}",
        source=source,
        trust=0,
        expires=LEASE,
    )
    beside = {"subject": whose.subject, "scope": whose.scope}
    rivals, known = await asyncio.gather(
        ctx.recall(k=100, kinds=["summary"], sources=[source], min_trust=0, **beside),  # type: ignore[arg-type]
        look_up(ctx, whose),
    )
    first = min(rivals, key=lambda one: one.offset, default=None)
    now = newest(known, whose)
    if now is not None and now.before > base:
        return now
    return noted if first is not None and first.id == noted.id and not rivals.degraded else None


async def _written(ctx: Context, before: Summary | None, turns: Sequence[Turn], window: Window, model: Model) -> str:
    told = [] if before is None else [{"summary": before.text}]
    said = [{"speaker": turn.speaker, "text": turn.text[:LONGEST_TURN]} for turn in as_told(turns)]
    asked: Model = {"timeout": LATE, **model}
    text = await ctx.generate(
        data_block([*told, *said]),
        system=_INSTRUCTIONS.format(words=max(window.summary_tokens * 3 // 4, 10)),
        max_tokens=window.summary_tokens,
        **asked,
    )
    return text.strip()[: window.summary_tokens * _CHARACTERS_A_TOKEN]
