"""How long a member may believe that it still owns its partitions (protocol rule 6)."""

from __future__ import annotations

from collections.abc import Callable

_NEVER = float("-inf")


class Lease:
    """Counts from the moment at which the last accepted commit was *sent*, for one session.

    An accepted commit proves that the broker counted this member in at or after that moment; anything that
    arrived earlier (an assignment, fetched offsets) may have waited in a socket while the process stood still.
    The clock must run on under SIGSTOP: ``time.monotonic`` does.
    """

    def __init__(self, session: float, clock: Callable[[], float]) -> None:
        self.session = session
        self._clock = clock
        self._proven = _NEVER
        self._tried = _NEVER

    def trying(self) -> float:
        """Call before a commit is sent; give the answer to :meth:`proven`."""
        self._tried = self._clock()
        return self._tried

    def proven(self, sent: float) -> None:
        """The commit sent at ``sent`` was accepted."""
        self._proven = max(self._proven, sent)

    def held(self) -> bool:
        """Whether the last proof is younger than one session."""
        return self._clock() < self._proven + self.session

    def due(self) -> bool:
        """Nothing was accepted for a third of a session, and nothing tried for a twelfth."""
        now = self._clock()
        return now >= self._proven + self.session / 3 and now >= self._tried + self.session / 12

    def drop(self) -> None:
        """Membership is lost: nothing is proven any more."""
        self._proven = self._tried = _NEVER
