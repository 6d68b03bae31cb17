"""Errors of hot state; see ``aiosv3.schemas.errors`` for the root.

AiosError
├── Fenced           another owner has written since: let go of the place, do not try again
└── HotUnavailable   the store did not answer: try the same step again, or go on without
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class Fenced(AiosError):
    """A newer owner has written to the place. ``epoch``: its own."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the place has an owner of epoch {epoch}: this one is no longer it, and must let go")
        self.epoch = epoch


class HotUnavailable(AiosError):
    """The store did not answer. Whether the step was done is not known; done again it counts once."""
