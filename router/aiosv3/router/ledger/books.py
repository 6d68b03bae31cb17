"""The ledger of one partition during one ownership: a fold over two logs, and a view that runs ahead of it.

*Agreed* is what every owner finds: decisions in own-log order, before each the entries of the router's journal up to
the position that it names (protocol rule 26). *Ahead* has in it all that this owner has read and decided; it decides by
that. As long as nobody else writes to the own log, both say the same of every decision.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from aiosv3.router.ledger.fold import Booking, Ledger, Short
from aiosv3.router.ledger.states import ledger_of
from aiosv3.schemas.money import LedgerEntry, LedgerKind, LedgerState, tree_of

_WAITING_LIMIT: Final = 1_000
"""Requests of one partition that may wait for money; the next ones are told at once that there is none."""


class Place(NamedTuple):
    """A decision in the own log: its offset, the journal position that it names, what it books.

    ``routed`` False: it refuses the request, and so whatever is decided of it later counts for nothing.
    """

    offset: int
    position: int
    booking: Booking
    routed: bool = True


class Books:
    """``start``: where the own log is read from; ``journal``: the next journal offset to be read.

    ``states``: the budgets at that place.
    """

    def __init__(self, start: int, journal: int, states: Sequence[LedgerState] = ()) -> None:
        self.agreed = ledger_of(states)
        self.ahead = ledger_of(states)
        self.position = journal
        """The next offset of the router's journal to be read: decisions name it."""
        self.applied = journal
        """Entries of the journal below it are in *agreed*."""
        self.folded = start
        """Decisions of the own log below it are in *agreed*."""
        self._seen = start
        self._places: deque[Place] = deque()
        self._entries: deque[tuple[int, LedgerEntry]] = deque()
        self._sent: dict[str, Place] = {}
        self._after: deque[tuple[int, Callable[[], None]]] = deque()
        self._waiting: dict[str, deque[tuple[Booking, asyncio.Future[Short | None]]]] = {}
        self._waiters = 0

    # -- the own log ----------------------------------------------------------------------------------------------

    def read(self, offset: int, place: Place | None) -> None:
        """A record of the own log as it was read, in offset order; ``place`` None: it is no decision."""
        if offset < self._seen:
            return  # read again, for another reason
        self._seen = offset + 1
        if place is not None:
            if place.routed and not self.ahead.known(place.booking.root, place.booking.id):
                self.ahead.book(place.booking)  # somebody else's; what I have decided of the same id is booked already
            self._places.append(place)
        self.advance()

    def decided(self, booking: Booking) -> None:
        """I have decided this; it goes to the own log next. It names :attr:`position`."""
        known = self.ahead.tree(booking.root).open.get(booking.id)
        if known is not None and known != booking:
            self.ahead.release(booking.root, booking.id)  # what I decided of it before went nowhere
        self.ahead.book(booking)
        self._sent[booking.id] = Place(-1, self.position, booking)

    def withdrawn(self, booking: Booking) -> None:
        """What I have decided goes nowhere after all."""
        self._sent.pop(booking.id, None)
        self._wake(self.ahead.release(booking.root, booking.id))

    def placed(self, offset: int, root: str, request_id: str) -> None:
        """What I have decided stands in the own log, as the first record of its id."""
        sent = self._sent.get(request_id) or Place(-1, -1, Booking(request_id, root, 0), routed=False)
        self.read(offset, sent._replace(offset=offset))

    def after(self, offset: int, then: Callable[[], None]) -> None:
        """Calls ``then`` once the own log up to ``offset``, inclusive, is folded: at once where it is."""
        if not self._places or self._places[0].offset > offset:
            then()
        else:
            self._after.append((offset, then))

    # -- the journal ----------------------------------------------------------------------------------------------

    def told(self, offset: int, entry: LedgerEntry | None) -> None:
        """A record of the router's journal, in offset order; None: it says nothing about money."""
        if offset < self.position:
            return
        self.position = offset + 1
        if entry is not None:
            self._entries.append((offset, entry))
            self._wake(apply(self.ahead, entry))
        self.advance()

    # -- the fold -------------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """True when all that was read of the own log is folded."""
        return not self._places

    def advance(self) -> None:
        """Folds what can be: a decision waits until the journal is read up to the position that it names."""
        places = self._places
        while places and places[0].position <= self.position:
            self._fold(places.popleft())
        bound = places[0].offset if places else self._seen
        self.folded = bound
        while self._after and self._after[0][0] < bound:
            self._after.popleft()[1]()

    def _fold(self, place: Place) -> None:
        self._apply(place.position)
        booking = place.booking
        if self.agreed.known(booking.root, booking.id):
            return
        short = None
        if place.routed:
            short = self.agreed.reserve(booking)
        else:
            self.agreed.refuse(booking.root, booking.id)
        sent = self._sent.pop(booking.id, None)
        if short is not None or not place.routed:
            self._wake(self.ahead.release(booking.root, booking.id))
        elif sent is not None and sent.booking != booking:
            self._wake(self.ahead.release(booking.root, booking.id))  # somebody else's came first and is the one
            self.ahead.book(booking)

    def _apply(self, upto: int) -> None:
        while self._entries and self._entries[0][0] < upto:
            apply(self.agreed, self._entries.popleft()[1])
        self.applied = max(self.applied, upto)

    def void(self, root: str, request_id: str) -> Short | None:
        """Why the decision did not fit at its place; None if it did, or if nothing is known of it."""
        tree = self.agreed.trees.get(root)
        return None if tree is None else tree.void.get(request_id)

    def forget(self, before: int) -> list[str]:
        """Drops trees that ended before ``before`` (ms); returns their budgets."""
        self.ahead.forget(before)
        self.ahead.dirty.clear()
        return self.agreed.forget(before)

    # -- waiting for money ----------------------------------------------------------------------------------------

    def waiting(self, short: Short, booking: Booking) -> asyncio.Future[Short | None] | None:
        """Resolved with None once the booking fits, and then it is booked; with what is short once waiting is in vain.

        First come, first served for each budget. None: too many wait.
        """
        if self._waiters >= _WAITING_LIMIT:
            return None
        future: asyncio.Future[Short | None] = asyncio.get_running_loop().create_future()
        self._waiters += 1
        future.add_done_callback(self._left)
        self._waiting.setdefault(short.budget, deque()).append((booking, future))
        return future

    def _left(self, _: object) -> None:
        self._waiters -= 1

    def _wake(self, budgets: Iterable[str]) -> None:
        for budget in budgets:
            queue = self._waiting.get(budget)
            while queue:
                booking, future = queue[0]
                short = None if future.done() else self.ahead.short(booking)
                if short is not None and short.passing and short.budget == budget:
                    break
                queue.popleft()
                if short is not None and short.passing:
                    self._waiting.setdefault(short.budget, deque()).append((booking, future))
                elif not future.done():
                    if short is None:
                        self.decided(booking)
                    future.set_result(short)
            if queue is not None and not queue:
                self._waiting.pop(budget, None)

    def close(self) -> None:
        """The ownership has ended: nobody waits any more."""
        self._after.clear()
        for queue in self._waiting.values():
            for _, future in queue:
                future.cancel()
        self._waiting.clear()


def apply(ledger: Ledger, entry: LedgerEntry) -> tuple[str, ...]:
    """Applies a journal entry; returns the budgets that it changed."""
    root = tree_of(entry.budget)
    if entry.kind is LedgerKind.SETTLEMENT and root is not None:
        return ledger.settle(root, entry.id, entry.epoch, entry.usd_micros)
    if entry.kind is LedgerKind.GRANT and ledger.grant(entry.budget, root, entry.id, entry.usd_micros):
        return (entry.budget,)
    return ()
