"""The claim store in memory."""

from __future__ import annotations

from aiosv3.streams.claims import checked, claim_of, digest_of
from aiosv3.streams.errors import ClaimMissing


class MemoryClaims:
    """Implements :class:`~aiosv3.streams.claims.ClaimStore`. ``stored`` is open to tests: take away, damage, count.

    Uses no thread, so it also serves on the deterministic loop and in the simulator.
    """

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    async def put(self, content: bytes) -> str:
        """See :meth:`aiosv3.streams.claims.ClaimStore.put`."""
        claim = claim_of(content)
        self.stored[claim] = content
        return claim

    async def get(self, claim: str) -> bytes:
        """See :meth:`aiosv3.streams.claims.ClaimStore.get`."""
        digest_of(claim)
        if claim not in self.stored:
            raise ClaimMissing(f"{claim} is not in memory")
        return checked(claim, self.stored[claim])
