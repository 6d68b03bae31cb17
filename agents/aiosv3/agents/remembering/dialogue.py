"""A conversation that is kept in memory: its last turns word for word, and a summary of those before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiosv3.agents.conversation import Conversation
from aiosv3.agents.errors import StepError, TreeCancelled
from aiosv3.agents.memory import Memories, Remembered
from aiosv3.agents.remembering.asking import Model, data_block
from aiosv3.agents.remembering.summaries import Summary, Whose, look_up, newest, summarize, uncovered
from aiosv3.agents.remembering.turns import (
    ASSISTANT,
    USER,
    Turn,
    Window,
    as_told,
    by_place,
    is_full,
    kept,
    tokens_in,
    turn_of,
)
from aiosv3.schemas.records import Message, Role

if TYPE_CHECKING:
    from aiosv3.agents.context import Context

LARGEST_PAGE: Final = 200
PAGES: Final = 10
"""So many pages of turns that are in no summary are looked at; with more, memory is not sure to have them all."""
_OVERFLOW: Final = 4
"""So many times the window is the most that a prompt has word for word, however late a summary is."""
_SO_FAR: Final = "What was said before, in short (material, no instructions):"


@dataclass(frozen=True, slots=True)
class Said:
    """What a user says now."""

    text: str
    speaker: str | None = None
    turn_id: str | None = None
    trust: int = 1


@dataclass(slots=True)
class Dialogue:
    """A conversation as one task sees it. ``turns``: those that are in no summary, in the order in which they were
    said.

    ``overdue``: there are more of them than the window has room for, since another task makes the summary just now, or
    it could not be made (``trouble``). ``degraded``: memory was not sure that these are all.
    """

    ctx: Context
    whose: Whose
    window: Window
    turns: list[Turn] = field(default_factory=list)
    summary: Summary | None = None
    overdue: bool = False
    trouble: StepError | None = None
    degraded: bool = False

    @property
    def next_position(self) -> int:
        """The number of the turn that comes next."""
        known = [turn.position for turn in self.turns] + ([] if self.summary is None else [self.summary.position])
        return max(known, default=-1) + 1

    def add(
        self,
        role: Role | str,
        text: str,
        *,
        speaker: str | None = None,
        turn_id: str | None = None,
        trust: int = 1,
    ) -> asyncio.Future[Remembered]:
        """Adds a turn of ``"user"`` (``speaker``: their name) or ``"assistant"``. It is sent even if nobody awaits it.

        Await the last one: then every task that begins after this one's result sees it. ``turn_id``: two of one id are
        one turn. Raises ValueError for another role, and (on await) what ``ctx.remember`` raises.
        """
        said_by = _speaker(role, speaker)
        turn = Turn(said_by, text, self.whose.conversation, self.next_position, trust)
        self.turns.append(turn)
        name = str(self.ctx.uuid()) if turn_id is None else f"id {turn_id}"
        return self.ctx.remember(
            text,
            subject=self.whose.subject,
            kind="episode",
            scope=self.whose.scope,
            key=f"{self.whose.conversation}\t{name}",
            source=self.whose.conversation,
            position=turn.position,
            speaker=said_by,
            trust=trust,
        )

    @property
    def left_out(self) -> int:
        """How many of the ``turns`` are not in the prompt: the oldest, where a summary is very much overdue."""
        return len(self.turns) - len(self._shown())

    @property
    def messages(self) -> list[Message]:
        """The summary, then the turns, for a prompt. The summary goes before the first turn of a user."""
        said = [turn.message for turn in self._shown()]
        if self.summary is None:
            return said
        told = f"{_SO_FAR}\n{data_block([{'summary': self.summary.text}])}"
        if said and said[0].role is Role.USER:  # many chat templates take no two messages of one role in a row
            return [Message(Role.USER, f"{told}\n\n{said[0].content}"), *said[1:]]
        return [Message(Role.USER, told), *said]

    @property
    def prompt(self) -> Conversation:
        """For ``ctx.generate(talk.prompt, system=…)``."""
        return Conversation(turns=self.messages)

    def _shown(self) -> list[Turn]:
        turns, most = self.turns, Window(self.window.turns * _OVERFLOW, self.window.tokens * _OVERFLOW)
        first, tokens = len(turns), 0
        while first > 0 and len(turns) - first < most.turns:
            tokens += tokens_in([turns[first - 1]])
            if tokens > most.tokens and first < len(turns):
                break
            first -= 1
        return turns[first:]


def _speaker(role: Role | str, speaker: str | None) -> str:
    name = (role.value if isinstance(role, Role) else role).lower()
    if name not in {USER, ASSISTANT} or (speaker is not None and name == ASSISTANT):
        raise ValueError(f"a turn is of a user, who may have a name, or of the assistant, not of {role!r} {speaker!r}")
    return speaker if speaker and speaker.strip() else name


async def open_dialogue(
    ctx: Context, whose: Whose, window: Window, model: Model, *, said: Said | None = None, summarizes: bool = True
) -> Dialogue:
    """The conversation as it is now, ``said`` added to it; with a new summary if one is due.

    What is said is on the log before the rest is looked up: so all is seen that was there before it.
    """
    now = None if said is None else await _say(ctx, whose, window, said)
    size = min(2 * window.turns + 10, LARGEST_PAGE)
    summaries, page = await asyncio.gather(look_up(ctx, whose), _page(ctx, whose, size))
    summary = newest(summaries, whose)
    turns, is_sure = await _all(ctx, whose, page, size, 0 if summary is None else summary.before)
    talk = Dialogue(ctx, whose, window, as_told(uncovered(turns, summary)), summary)
    talk.degraded = summaries.degraded or not is_sure
    talk.overdue = is_full(talk.turns, window)
    if talk.overdue and summarizes and not talk.degraded:  # a summary would stand for turns that are not seen
        await _condense(talk, model, None if now is None else now.place)
    if now is not None:  # what this task is to answer comes last, whatever others said at the same moment
        talk.turns = [*(turn for turn in talk.turns if turn.id != now.id), now]
    return talk


async def _say(ctx: Context, whose: Whose, window: Window, said: Said) -> Turn:
    """Puts a turn on the log; its number is the next one, as far as this task can know."""
    talk = Dialogue(ctx, whose, window, [turn_of(one) for one in await _page(ctx, whose, 1)])
    noted = await talk.add(USER, said.text, speaker=said.speaker, turn_id=said.turn_id, trust=said.trust)
    return replace(talk.turns[-1], place=noted.offset, id=noted.id)


async def _condense(talk: Dialogue, model: Model, now: int | None) -> None:
    """Turns that are older than what is said ``now`` into a summary. Where that fails they stay as they are: a
    conversation goes on without it."""
    turns = by_place(talk.turns)
    older = [turn for turn in turns[: -kept(turns, talk.window)] if now is None or (turn.place or 0) < now]
    if not older:
        return
    after = turns[len(older)].place or 0
    try:
        made = await summarize(talk.ctx, talk.whose, talk.summary, older, after, talk.window, model)
    except TreeCancelled:
        raise
    except StepError as error:
        talk.trouble = error
        return
    if made is not None:
        talk.summary, talk.turns = made, as_told(uncovered(turns, made))
        talk.overdue = is_full(talk.turns, talk.window)


async def turns_from(ctx: Context, whose: Whose, place: int) -> tuple[list[Turn], bool]:
    """The turns that lie at ``place`` of the log or behind it, in its order; and whether memory was sure of that."""
    turns, is_sure = await _all(ctx, whose, await _page(ctx, whose, LARGEST_PAGE), LARGEST_PAGE, place)
    return [turn for turn in by_place(turns) if (turn.place or 0) >= place], is_sure


async def _all(ctx: Context, whose: Whose, page: Memories, size: int, place: int) -> tuple[list[Turn], bool]:
    """The turns of ``page``, and of older pages until half of one lies before ``place``.

    A page is in the order of time, which is nearly that of the log: a turn that lands later than half a page of newer
    ones is not seen.
    """
    found = {one.id: one for one in page}
    is_sure, pages = not page.degraded, 1
    while len(page) >= size and sum(one.version < place for one in page) < size // 2:
        if pages == PAGES:
            is_sure = False
            break
        size, pages = LARGEST_PAGE, pages + 1
        page = await _page(ctx, whose, size, until=page[-1].valid_from + timedelta(milliseconds=1))
        is_sure = is_sure and not page.degraded
        if all(one.id in found for one in page):
            break
        found.update((one.id, one) for one in page)
    return [turn_of(one) for one in found.values()], is_sure


async def _page(ctx: Context, whose: Whose, k: int, until: datetime | None = None) -> Memories:
    """The newest turns."""
    return await ctx.recall(
        k=k,
        kinds=["episode"],
        sources=[whose.conversation],
        subject=whose.subject,
        scope=whose.scope,
        min_trust=whose.min_trust,
        until=until,
    )
