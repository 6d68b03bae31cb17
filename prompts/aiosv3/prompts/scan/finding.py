"""What a detector says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Prompt


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of ``kind`` at ``[start, end)`` of the text, which is at least of class ``clearance``.

    The words themselves are not here: a finding may be logged.
    """

    kind: str
    start: int
    end: int
    clearance: Clearance


@dataclass(frozen=True, slots=True)
class Verdict:
    """The least class that a prompt allows, and the kinds of what was found of that class; none: nothing was."""

    clearance: Clearance
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detector:
    """``find`` yields ``(start, end)`` of each sighting, in time linear in the text."""

    kind: str
    clearance: Clearance
    find: Callable[[str], Iterator[tuple[int, int]]]


class SecondLook(Protocol):
    """Somebody else's look at a prompt, off the event loop. ``most``: the highest class that it ever finds."""

    most: Clearance

    async def judge(self, prompt: Prompt) -> Verdict:
        """The least class that the prompt allows. Never raises: what fails, or takes too long, is the highest class."""
        ...
