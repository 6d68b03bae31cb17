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

from aiosv3.router.ledger.accounts import Short
from aiosv3.router.ledger.caps import ends
from aiosv3.router.ledger.fold import Booking, Ledger
from aiosv3.router.ledger.lending import lends
from aiosv3.router.ledger.states import ledger_of, lender_key, lending_of
from aiosv3.schemas.money import LedgerEntry, LedgerKind, LedgerState, return_id, tree_of

_WAITING_LIMIT: Final = 1_000
"""Requests of one partition that may wait for money; the next ones are told at once that there is none."""
_OVER_MS: Final = 48 * 3_600_000
"""A window that ended so long ago gets no requests any more, however wrong a router's clock is."""


class Place(NamedTuple):
    """A decision in the own log: its offset, the journal position that it names, what it books.

    ``routed`` False: it refuses the request, and so whatever is decided of it later counts for nothing.
    ``returns``: the number of a return, of a booking that gives back money of a shared budget; 0 of all others.
    """

    offset: int
    position: int
    booking: Booking
    routed: bool = True
    returns: int = 0


class Books:
    """``start``: where the own log is read from; ``journal``: the next journal offset to be read.

    ``states``: the budgets at that place.
    """

    def __init__(self, start: int, journal: int, states: Sequence[LedgerState] = ()) -> None:
        self.agreed = ledger_of(states)
        self.ahead = ledger_of(states)
        self.lending = lending_of(states)
        self.position = journal
        """The next offset of the router's journal to be read: decisions name it."""
        self.folded = start
        """Decisions of the own log below it are in *agreed*."""
        self._seen = start
        self._places: deque[Place] = deque()
        self._entries: deque[tuple[int, LedgerEntry]] = deque()
        self._sent: dict[str, Place] = {}
        self._early: dict[str, list[LedgerEntry]] = {}
        """Settlements that were read before the decision that they end, which says what budgets they are paid from."""
        self._read_up = False
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
            if place.booking.id not in self._sent:
                self._foreign(place)  # what I have decided of the same id is booked already
            self._places.append(place)
        self.advance()

    def _foreign(self, place: Place) -> None:
        if place.returns:
            lease = self.ahead.lease(place.booking.budgets[0])
            if place.returns > lease.returns:
                lease.returns = place.returns
                lease.returned += place.booking.amount
        elif place.routed and not self.ahead.known(place.booking.root, place.booking.id):
            self.ahead.book(place.booking)
            for entry in self._early.pop(place.booking.id, ()):
                self._wake(apply(self.ahead, entry))
        elif place.routed and (early := self._early.pop(place.booking.id, None)) is not None:
            self.ahead.paid_from(place.booking, [entry.usd_micros for entry in early])

    def read_up(self) -> None:
        """All that there was is read: what is settled and not decided from here on is spent all the same."""
        self._read_up = True
        for entries in self._early.values():
            for entry in entries:
                self._wake(apply(self.ahead, entry))

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

    def returning(self, budget: str, amount: int) -> Place | None:
        """I give back ``amount`` of what I was lent, by a record of the own log; None if that much is not free."""
        lease = self.ahead.lease(budget)
        number = lease.returns + 1
        if lease.free < amount or not self.ahead.give_back(budget, number, amount):
            return None
        booking = Booking(return_id(budget, number), budget, amount, None, (budget,))
        place = self._sent[booking.id] = Place(-1, self.position, booking, True, number)
        return place

    def dropped(self, root: str, request_id: str) -> None:
        """What I have decided of it, if anything, goes nowhere after all."""
        sent = self._sent.get(request_id)
        if sent is not None and not sent.returns:
            self.withdrawn(sent.booking)

    def unreturned(self, place: Place) -> None:
        """A return did not get onto the own log."""
        (budget,) = place.booking.budgets
        if self._sent.pop(place.booking.id, None) is not None:
            self.ahead.lease(budget).returned -= place.booking.amount
            self._wake((budget,))

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

    def told(self, offset: int, entry: LedgerEntry | None) -> Sequence[LedgerEntry]:
        """A record of the router's journal, in offset order; None: it says nothing about money.

        Returns what other partitions have to be told for it.
        """
        if offset < self.position:
            return ()
        self.position = offset + 1
        said: Sequence[LedgerEntry] = ()
        if entry is None or entry.kind is LedgerKind.LEASE_RECALL:
            pass  # it changes no sum
        elif lends(entry):
            said = self.lending.apply(entry)
        else:
            self._entries.append((offset, entry))
            if entry.kind is LedgerKind.SETTLEMENT and not self._decided(entry):
                self._early.setdefault(entry.id, []).append(entry)
                if self._read_up:
                    self._wake(apply(self.ahead, entry))
            else:
                self._wake(apply(self.ahead, entry))
        self.advance()
        return said

    # -- the fold -------------------------------------------------------------------------------------------------

    @property
    def applied(self) -> int:
        """Entries of the journal below it are in *agreed*, as far as the place of a decision matters to them."""
        return self._entries[0][0] if self._entries else self.position

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
        booking = place.booking
        if place.returns:
            self._fold_return(place)
            return
        if self.agreed.known(booking.root, booking.id):
            # Nor does the position that it names count: the owner who wrote it second never reads it.
            if booking.id not in self.agreed.tree(booking.root).open:
                self._wake(self.ahead.release(booking.root, booking.id))  # a second record of what was void or refused
            return
        self._apply(place.position)
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

    def _fold_return(self, place: Place) -> None:
        """It holds if that much was free at its place. What is not given back can be spent again."""
        (budget,) = place.booking.budgets
        if place.returns > self.agreed.lease(budget).returns:
            self._apply(place.position)
        gave = self.agreed.give_back(budget, place.returns, place.booking.amount)
        self._sent.pop(place.booking.id, None)
        if gave is not None:
            mine = self.ahead.lease(budget)
            mine.returns = max(mine.returns, place.returns)
            mine.returned = self.agreed.lease(budget).returned + self._giving(budget)
            self._wake((budget,))

    def _giving(self, budget: str) -> int:
        """What is on its way back: decided and not folded yet."""
        places = {place.booking.id: place for place in self._places if place.returns}
        places.update((name, place) for name, place in self._sent.items() if place.returns)
        return sum(place.booking.amount for place in places.values() if place.booking.budgets == (budget,))

    def _decided(self, entry: LedgerEntry) -> bool:
        root = tree_of(entry.budget)
        return root is not None and self.ahead.known(root, entry.id)

    def _apply(self, upto: int) -> None:
        while self._entries and self._entries[0][0] < upto:
            _, entry = self._entries.popleft()
            apply(self.agreed, entry)
            early = self._early.pop(entry.id, ())  # no decision is to come that it could end
            for one in () if self._read_up else early:
                self._wake(apply(self.ahead, one))

    def void(self, root: str, request_id: str) -> Short | None:
        """Why the decision did not fit at its place; None if it did, or if nothing is known of it."""
        tree = self.agreed.trees.get(root)
        return None if tree is None else tree.void.get(request_id)

    def forget(self, before: int) -> list[str]:
        """Drops trees that ended before ``before`` (ms), and windows long over; returns the keys of their states."""
        self.ahead.forget(before)
        self.ahead.dirty.clear()
        over = [budget for budget in {*self.agreed.shared, *self.lending.lenders} if _is_over(budget, before)]
        for budget in over:
            self.ahead.shared.pop(budget, None)
        kept = [budget for budget in over if self.agreed.shared.pop(budget, None) is not None]
        lent = [lender_key(budget) for budget in self.lending.forget(over)]
        return [*self.agreed.forget(before), *kept, *lent]

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

    def awaited(self, budget: str) -> int:
        """What those cost that wait for money of a budget; 0 if nobody does."""
        return sum(booking.amount for booking, future in self._waiting.get(budget, ()) if not future.done())

    def answered(self, budget: str) -> None:
        """The answer to a wish for more is here: whoever waits in vain is told so."""
        self.ahead.lease(budget).asking = False
        self._wake((budget,))

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
    """Applies a journal entry whose place among decisions matters; returns the budgets that it changed."""
    root = tree_of(entry.budget)
    if entry.kind is LedgerKind.SETTLEMENT and root is not None:
        return ledger.settle(root, entry.id, entry.epoch, entry.usd_micros)
    if entry.kind is LedgerKind.GRANT and root is not None and ledger.grant(root, entry.id, entry.usd_micros):
        return (entry.budget,)
    if entry.kind is LedgerKind.LEASE and ledger.lent(entry):
        return (entry.budget,)
    return ()


def _is_over(budget: str, before: int) -> bool:
    end = ends(budget)
    return end is not None and end + _OVER_MS < before
