"""Shares of a rule: which part of all task trees goes where. The same tree always falls into the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the trees, in hundredths of a percent, and the pools that it is for."""

    name: str
    parts: int
    pools: frozenset[str]


def share_of(rule: str, root: str, shares: Sequence[Share]) -> Share | None:
    """The share of a tree; None for the rest that no share takes.

    Shares are cut off in their order, so raising the first one's percentage moves trees into it and none out of it.
    Each rule has a draw of its own: trees in one experiment are spread evenly over another.
    """
    drawn = int.from_bytes(blake2b(f"{rule}\0{root}".encode(), digest_size=8).digest()) % _PARTS
    for share in shares:
        if drawn < share.parts:
            return share
        drawn -= share.parts
    return None
