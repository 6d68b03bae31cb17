"""What a detector says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiosv3.schemas.headers import Clearance


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
