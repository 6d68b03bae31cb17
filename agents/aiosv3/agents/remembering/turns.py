"""Turns of a conversation, and which of them a prompt has word for word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiosv3.agents.memory import Memory
from aiosv3.prompts import estimate_tokens
from aiosv3.schemas.records import Message, Prompt, Role

ASSISTANT: Final = "assistant"
USER: Final = "user"


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a conversation a prompt has word for word, and when the rest is summarized.

    As soon as more than ``turns`` turns, or ``tokens`` tokens (an estimate), are in no summary, the older ones go into
    one, and at most half of that stays: so a summary is made once in many turns. ``summary_tokens``: its length.
    """

    turns: int = 20
    tokens: int = 2_000
    summary_tokens: int = 400

    def __post_init__(self) -> None:
        if self.turns < 1 or self.tokens < 1 or self.summary_tokens < 1:
            raise ValueError(f"a window has at least one turn and one token: {self}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. ``place``: its offset on the memory log, in the order of which turns are summarized; None: not known.

    ``position``: its number; two tasks that speak at once may give one number twice. ``trust``: as of a memory.
    """

    speaker: str
    text: str
    source: str
    position: int
    trust: int = 1
    place: int | None = None
    id: str | None = None

    @property
    def role(self) -> Role:
        """Who said it, for a model."""
        return Role.ASSISTANT if self.speaker.lower() == ASSISTANT else Role.USER

    @property
    def message(self) -> Message:
        """As a message of a prompt: with a name before it where a user has one."""
        plain = self.speaker.lower() in {ASSISTANT, USER}
        return Message(self.role, self.text if plain else f"{self.speaker}: {self.text}")


def turn_of(memory: Memory) -> Turn:
    """A turn as it was found."""
    return Turn(
        memory.speaker or USER,
        memory.text,
        memory.source,
        memory.position,
        memory.trust,
        memory.version,
        memory.id,
    )


def tokens_in(turns: Sequence[Turn]) -> int:
    """An estimate."""
    return estimate_tokens(Prompt(tuple(turn.message for turn in turns), None, 0))


def by_place(turns: Sequence[Turn]) -> list[Turn]:
    """In the order of the log, the last those that are not known to be there."""
    return sorted(turns, key=lambda turn: float("inf") if turn.place is None else turn.place)


def as_told(turns: Sequence[Turn]) -> list[Turn]:
    """In the order in which they were said, as far as their numbers tell it; else in that of the log."""
    return sorted(by_place(turns), key=lambda turn: turn.position)


def kept(turns: Sequence[Turn], window: Window) -> int:
    """How many of the last turns stay word for word once others are summarized: at least one."""
    most, count = max(window.turns // 2, 1), 1
    while count < min(most, len(turns)) and tokens_in(turns[-count - 1 :]) <= window.tokens // 2:
        count += 1
    return count


def is_full(turns: Sequence[Turn], window: Window) -> bool:
    """Whether so many turns are more than the window has room for."""
    return len(turns) > window.turns or tokens_in(turns) > window.tokens
