"""Which pool a conversation is with: a memory that only makes things cheaper, so it may forget."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_KEPT: Final = 100_000


class Conversations:
    """The pools that prefix groups went to last; of the oldest, those beyond ``kept`` are forgotten.

    A decision records what was remembered, so it can be made again without this memory.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._pools: OrderedDict[str, str] = OrderedDict()

    def pool_of(self, prefix: str | None) -> str | None:
        """The pool, None where none is remembered."""
        return None if prefix is None else self._pools.get(prefix)

    def went_to(self, prefix: str | None, pool: str) -> None:
        """The newest request of the group went there."""
        if prefix is None:
            return
        self._pools[prefix] = pool
        self._pools.move_to_end(prefix)
        if len(self._pools) > self._kept:
            self._pools.popitem(last=False)
