"""The ledger of one router partition as a pure fold: bookings, settlements and grants in, what is left out.

Money is in micro-dollars. Each booking is known by its request id, which names the attempt; each settlement by request
id and epoch, which name one completion. Whatever comes a second time changes nothing (protocol rule 27).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiosv3.router.ledger.accounts import Account, Lease, Short
from aiosv3.schemas.money import LedgerEntry, tree_budget


@dataclass(frozen=True, slots=True)
class Booking:
    """Money for one attempt of a request. ``cap``: of its whole tree, None without a limit.

    ``budgets``: those beside the tree's that it is taken from too. ``expires``: when the tree ends, in ms.
    """

    id: str
    root: str
    amount: int
    cap: int | None = None
    budgets: tuple[str, ...] = ()
    expires: int | None = None


class Tree(Account):
    """The budget of a task tree, and all its bookings: ``open`` ones, ``closed`` ones with the epochs that were paid,
    and those that were ``void`` because they did not fit at their place. ``shares``: the shared budgets that closed
    ones were taken from, by id, where there are some."""

    __slots__ = ("closed", "expires", "open", "shares", "void")

    def __init__(self) -> None:
        super().__init__(None)
        self.open: dict[str, Booking] = {}
        self.closed: dict[str, tuple[int, ...]] = {}
        self.void: dict[str, Short] = {}
        self.shares: dict[str, tuple[str, ...]] = {}
        self.expires: int | None = None


class Ledger:
    """All budgets of one partition. A call costs microseconds: dictionaries and sums, no log and no clock."""

    def __init__(self) -> None:
        self.trees: dict[str, Tree] = {}
        self.shared: dict[str, Lease] = {}
        self.dirty: set[str] = set()
        """Budgets that have changed."""

    def tree(self, root: str) -> Tree:
        """The budget of the tree ``root``, made where it is new."""
        found = self.trees.get(root)
        if found is None:
            found = self.trees[root] = Tree()
        return found

    def lease(self, budget: str) -> Lease:
        """What this partition has of a shared budget, made where it is new: it may spend only what it is lent."""
        found = self.shared.get(budget)
        if found is None:
            found = self.shared[budget] = Lease()
        return found

    def _accounts(self, booking: Booking) -> Iterator[tuple[str, Account]]:
        tree = self.tree(booking.root)
        if tree.limit is None:
            tree.limit = booking.cap  # the same in all requests of the tree; the first that names it counts
        if booking.expires is not None:
            tree.expires = max(booking.expires, tree.expires or 0)
        yield tree_budget(booking.root), tree
        for budget in booking.budgets:
            yield budget, self.lease(budget)

    def _changing(self, booking: Booking) -> Iterator[tuple[str, Account]]:
        for budget, account in self._accounts(booking):
            self.dirty.add(budget)
            yield budget, account

    def known(self, root: str, request_id: str) -> bool:
        """True if the request was booked or settled before, or found void."""
        tree = self.trees.get(root)
        return tree is not None and (request_id in tree.open or request_id in tree.closed or request_id in tree.void)

    def short(self, booking: Booking) -> Short | None:
        """Why it would not fit now; None if it does, or if it is booked. What costs nothing always fits."""
        if not booking.amount or booking.id in self.tree(booking.root).open:
            return None
        for budget, account in self._accounts(booking):
            if (short := account.short(budget, booking.amount)) is not None:
                return short
        return None

    def left(self, booking: Booking) -> int | None:
        """What a call like this one may cost now; None without a limit."""
        rooms = [a.total - a.spent - a.reserved for _, a in self._accounts(booking) if a.total is not None]
        return max(0, min(rooms)) if rooms else None

    def reserve(self, booking: Booking) -> Short | None:
        """Books it if it fits, the first time; otherwise it is void from then on, and the reason is returned."""
        if self.known(booking.root, booking.id):
            return self.tree(booking.root).void.get(booking.id)
        short = self.short(booking)
        if short is None:
            self.book(booking)
        else:
            self.tree(booking.root).void[booking.id] = short
            self.dirty.add(tree_budget(booking.root))
        return short

    def refuse(self, root: str, request_id: str) -> None:
        """The request was refused: nothing is booked for it any more."""
        tree = self.tree(root)
        if request_id not in tree.open:
            tree.closed.setdefault(request_id, ())
            self.dirty.add(tree_budget(root))

    def book(self, booking: Booking) -> None:
        """Books it whether it fits or not, the first time."""
        tree = self.tree(booking.root)
        if booking.id in tree.open or booking.id in tree.closed:
            return
        for _, account in self._changing(booking):
            account.reserved += booking.amount
        tree.open[booking.id] = booking

    def release(self, root: str, request_id: str) -> tuple[str, ...]:
        """Takes a booking back, as if it had never been made; returns the budgets that have more now."""
        booking = self.tree(root).open.pop(request_id, None)
        if booking is None:
            return ()
        touched = []
        for budget, account in self._changing(booking):
            account.reserved -= booking.amount
            touched.append(budget)
        return tuple(touched)

    def settle(self, root: str, request_id: str, epoch: int, cost: int) -> tuple[str, ...]:
        """Ends a reservation with what the call has cost; returns the budgets that changed.

        What has no reservation (any more) is spent all the same: it is on somebody's bill.
        """
        tree = self.tree(root)
        paid = tree.closed.get(request_id, ())
        if epoch in paid:
            return ()
        tree.closed[request_id] = (*paid, epoch)
        booking = tree.open.pop(request_id, None)
        if booking is None:
            booking = Booking(request_id, root, 0, None, tree.shares.get(request_id, ()))
        elif booking.budgets:
            tree.shares[request_id] = booking.budgets
        booked = booking.amount
        touched = []
        for budget, account in self._changing(booking):
            account.reserved -= booked
            account.spent += cost
            account.overrun += max(0, cost - booked)
            touched.append(budget)
        return tuple(touched)

    def paid_from(self, booking: Booking, costs: Sequence[int]) -> None:
        """A call that is settled already was paid from these shared budgets too."""
        self.tree(booking.root).shares[booking.id] = booking.budgets
        for budget in booking.budgets:
            lease = self.lease(budget)
            lease.spent += sum(costs)
            lease.overrun += sum(costs) - min(costs[0], booking.amount)
            self.dirty.add(budget)

    def grant(self, root: str, grant_id: str, amount: int) -> bool:
        """Adds money to the budget of the tree ``root``; False if this grant was added before."""
        tree = self.tree(root)
        if grant_id in tree.grants:
            return False
        tree.grants[grant_id] = None
        tree.added += amount
        self.dirty.add(tree_budget(root))
        return True

    def lent(self, entry: LedgerEntry) -> bool:
        """Money of a shared budget came, or the news that there is none; False if this lease was here before."""
        self.dirty.add(entry.budget)
        return self.lease(entry.budget).lent(entry)

    def give_back(self, budget: str, number: int, amount: int) -> bool | None:
        """Gives money of a shared budget back; see :meth:`Lease.give_back`."""
        self.dirty.add(budget)
        return self.lease(budget).give_back(number, amount)

    def forget(self, before: int) -> list[str]:
        """Drops trees that ended before ``before`` (ms) and have nothing open: nothing of them is routed any more.

        Returns their budgets.
        """
        over = [
            root
            for root, tree in self.trees.items()
            if tree.expires is not None and tree.expires < before and not tree.open
        ]
        for root in over:
            del self.trees[root]
        return [tree_budget(root) for root in over]
