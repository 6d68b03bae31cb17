"""The hot state port: named values, windows of the last items, and counters of a place, with one owner.

It is a cache: all of it may be gone at any time, and what must not be lost is on a log. Values are bytes, so whoever
writes them can seal them. Keys of a store are hashes: no name of a tenant or of a person is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Place:
    """Whose state it is: one session, one task, one agent of a tenant."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Who writes, and which step that is. Owners of a later ``epoch`` shut out those of earlier ones.

    ``sequence`` grows from step to step, from owner to owner too: the offset of what is worked on. A step that has
    been done is not done again.
    """

    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Working memory: this value under this name."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """No value, no window and no counter under this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Push:
    """One more item in a window, which keeps the last ``most``."""

    name: str
    item: bytes
    most: int

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("a window keeps at least its last item")


@dataclass(frozen=True, slots=True)
class Add:
    """So much more, or less, in a counter of 64 bits, which begins at 0."""

    name: str
    amount: int


Step: TypeAlias = Keep | Delete | Push | Add


@dataclass(frozen=True, slots=True)
class Hot:
    """All of a place, as it was at one moment. Windows have their oldest item first."""

    values: Mapping[str, bytes] = field(default_factory=dict)
    windows: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


class HotState(Protocol):
    """A store of hot state. Any method raises ``HotUnavailable`` when it cannot be reached."""

    async def write(self, place: Place, mark: Mark, steps: Sequence[Step]) -> bool:
        """All steps, or none. False: they were done before. Raises ``Fenced``."""
        ...

    async def read(self, place: Place) -> Hot:
        """What is there; nothing where nobody has written for the store's time to live."""
        ...

    async def drop(self, place: Place, mark: Mark) -> bool:
        """Lets go of everything but the mark: earlier owners stay shut out. As ``write`` otherwise."""
        ...

    async def close(self) -> None:
        """Lets go of connections. Safe to call twice."""
        ...
