"""A conversation that grows without being sent, or stored, again and again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiosv3.agents.taskloop import TaskLoop
from aiosv3.prompts import estimate_tokens
from aiosv3.prompts.scan import judge
from aiosv3.schemas.history import Block
from aiosv3.schemas.records import Message, Prompt, Role
from aiosv3.streams.claims import claim_of

SEAL: Final = 2_048
"""Characters of turns that travel along before they become a block. What travels is stored with every call, twice, and
a block is a file: at 2 KiB neither costs more than the other records of a call do."""


@dataclass
class Conversation:
    """What was said. Give it to ``ctx.generate``, keep it in ``ctx.state``, pass it to other agents: it stays small.

    ``turns`` are the newest ones. Older ones lie in the claim store as blocks, of which ``head`` claims the newest;
    only the worker that calls the model reads them. ``stored`` counts their turns, ``stored_tokens`` (an estimate) what
    they add to a prompt. ``stored_class`` is the least data class that their text allows, 0 public to 3 restricted;
    None: not known, since some were stored without a look at them. ``len`` counts all turns.
    """

    head: str | None = None
    turns: list[Message] = field(default_factory=list)
    stored: int = 0
    stored_tokens: int = 0
    stored_class: int | None = None

    def __len__(self) -> int:
        return self.stored + len(self.turns)

    def __bool__(self) -> bool:
        return True

    def append(
        self, role: Role | str, text: str, *, tool_calls: str | None = None, tool_call_id: str | None = None
    ) -> None:
        """Adds a turn. ``role``: ``system``, ``user``, ``assistant`` or ``tool``; ValueError for any other.

        In a task, turns of more than :data:`SEAL` characters become a block, which the task's worker stores before it
        sends anything more. Elsewhere they stay, until the first ``append`` in a task.
        """
        name = Role(role.upper()) if isinstance(role, str) else role
        self.turns.append(Message(name, text, tool_calls, tool_call_id))
        loop = asyncio._get_running_loop()  # noqa: SLF001 -- None outside, where the other one raises
        if isinstance(loop, TaskLoop) and sum(map(_size, self.turns)) > SEAL:
            self._seal(loop)

    def _seal(self, loop: TaskLoop) -> None:
        """The claim is a hash, known without storing anything: a replay comes to the same one."""
        turns = Prompt(tuple(self.turns), None, 0)
        judged = judge(turns).clearance
        raw = loop.as_stored(Block(self.head, tuple(self.turns)).encode(), judged)
        self.head = claim_of(raw)
        loop.sealed[self.head] = raw
        self.stored_tokens += estimate_tokens(turns)
        # Whoever asks about the conversation later has only the claim: what stands in the blocks is said along with it.
        if self.stored == 0:
            self.stored_class = judged
        elif self.stored_class is not None:
            self.stored_class = max(self.stored_class, judged)
        self.stored += len(self.turns)
        self.turns = []


def _size(message: Message) -> int:
    return len(message.content) + len(message.tool_calls or "")
