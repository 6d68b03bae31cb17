"""What a memory adds to a view's digest: the same in every view."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from aiosv3.memory.views.port import Digest, Entry

_BYTES: Final = 16


def share(entry: Entry) -> int:
    """The number that this version of a memory stands for."""
    told = f"{len(entry.id)}:{entry.id}:{entry.version}:{entry.content_hash}"
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=_BYTES).digest())


def digest_of(count: int, total: int) -> Digest:
    """Of ``count`` memories whose shares, each added by exclusive or, come to ``total``."""
    return Digest(count, total.to_bytes(_BYTES).hex())


def digest_over(shares: Iterable[int]) -> Digest:
    """Of memories by their shares."""
    count, total = 0, 0
    for one in shares:
        count, total = count + 1, total ^ one
    return digest_of(count, total)
