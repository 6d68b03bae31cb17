"""The part of :class:`~aiosv3.agents.context.Context` that remembers by models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Unpack, cast

from aiosv3.agents.remembering.asking import ABOUT, Model
from aiosv3.agents.remembering.turns import USER, Turn, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosv3.agents.context import Context
    from aiosv3.agents.memory import Memory
    from aiosv3.agents.remembering.dialogue import Dialogue
    from aiosv3.agents.remembering.extraction import Learned
    from aiosv3.agents.remembering.summaries import Whose
    from aiosv3.agents.task import TaskRun

WINDOW = Window()


class RememberingSteps:
    """Made of ordinary steps, ``generate``, ``remember`` and ``recall``: recorded, routed and paid for as these are."""

    __slots__ = ()
    _run: TaskRun

    def dialogue(
        self,
        conversation: str,
        said: str | None = None,
        *,
        speaker: str | None = None,
        turn_id: str | None = None,
        subject: str | None = None,
        scope: str = "agent",
        window: Window = WINDOW,
        summarize: bool = True,
        trust: int = 1,
        min_trust: int = 1,
        **model: Unpack[Model],
    ) -> asyncio.Task[Dialogue]:
        """A conversation kept in memory: its last turns word for word, and a summary of what came before.

        ``said``: what the user (``speaker``) says now; it is added first. Then ``talk.prompt`` is the prompt, and
        ``talk.add("assistant", answer)`` adds the answer. A summary is made by a ``model`` when more is said than
        ``window`` has room for, once, by one of all tasks that speak; ``summarize=False`` leaves it to others (the
        memory keeper). Where none can be made the turns stay as they are. Raises (on await) what ``ctx.remember`` and
        ``ctx.recall`` raise.
        """
        from aiosv3.agents.remembering.dialogue import Said, open_dialogue  # an agent without them starts sooner

        now = None if said is None else Said(said, speaker, turn_id, trust)
        whose = whose_is(self._context, conversation, subject, scope, min_trust)
        talk = open_dialogue(self._context, whose, window, model, said=now, summarizes=summarize)
        return asyncio.get_running_loop().create_task(talk)

    def learn(
        self,
        said: str | Turn | Memory | Sequence[Turn | Memory],
        *,
        subject: str | None = None,
        scope: str = "agent",
        about: str = ABOUT,
        most: int = 8,
        speaker: str = USER,
        source: str = "",
        position: int = 0,
        trust: int = 1,
        **model: Unpack[Model],
    ) -> asyncio.Task[list[Learned]]:
        """Facts, preferences and procedures out of what was ``said``, remembered where they are new.

        A model proposes at most ``most`` notes ``about`` something; each is compared with what is known of the
        ``subject`` in the ``scope``: the same words are nothing new, of what is alike a model says whether the note
        adds to it, supersedes it, or says nothing new. A note has ``source``, ``position`` and ``trust`` of its turn
        (of a text: as given here), and ends nothing that is trusted more. Raises (on await) ModelRefused where the
        model's answer is no answer, and what ``generate``, ``recall`` and ``remember`` raise.
        """
        from aiosv3.agents.remembering.extraction import About, learn, turns_in

        turns = turns_in(said, speaker, (source, position, trust))
        learning = learn(self._context, turns, About(subject, scope, about, most), model)
        return asyncio.get_running_loop().create_task(learning)

    @property
    def _context(self) -> Context[Any]:
        return cast("Context[Any]", self)


def whose_is(ctx: Context[Any], conversation: str, subject: str | None, scope: str, min_trust: int) -> Whose:
    """The conversation as this task may see it. Raises ValueError for a name that is none."""
    from aiosv3.agents.remembering.summaries import Whose

    if not conversation.strip() or not conversation.isprintable():
        raise ValueError(f"a conversation is named in one line, not {conversation!r}")
    return Whose(conversation, subject, scope, min_trust, f"{ctx._run.clearance.label}/{min_trust}")  # noqa: SLF001 -- a part of it
