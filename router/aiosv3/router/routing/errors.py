"""What is wrong with a routing policy.

AiosError
├── RoutingFileError   a routing file (or a table of expectations) cannot be used: each fault with its line
└── UnusableVersion    a version on ``policies`` cannot be used: the one before it stays in force
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiosv3.schemas.errors import AiosError


class Fault(NamedTuple):
    """One thing that is wrong, and the line that it stands in (from 1)."""

    line: int
    words: str


class RoutingFileError(AiosError):
    """A file cannot be used. ``faults`` are in the order of their lines."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(f"{source}:{fault.line}: {fault.words}" for fault in self.faults))


class UnusableVersion(AiosError):
    """A record on ``policies`` that is no version of a policy that this release can decide by."""
