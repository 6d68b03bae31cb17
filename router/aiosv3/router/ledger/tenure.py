"""A router's ownership of one partition of ``prompts``: decisions by the ledger that two logs make (rules 26, 27)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from aiosv3.router.ledger.accounts import Short
from aiosv3.router.ledger.books import Books, Place
from aiosv3.router.ledger.borrowing import Borrower, Patience
from aiosv3.router.ledger.cashier import Cashier
from aiosv3.router.ledger.keeping import Keeper
from aiosv3.router.ledger.reading import entry_of, place_of, said_in
from aiosv3.router.ledger.settling import entry_outgoing, unused
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, RegistryUnavailable
from aiosv3.schemas.money import LedgerEntry, LedgerKind, overruled_id
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.beside import Sending
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import Effector, EffectorTenure, Request
from aiosv3.streams.errors import AppendFailed, AppendUnknown, RecordTooLarge
from aiosv3.streams.log import Appended, Committed, Outgoing, Record
from aiosv3.streams.ownlog import Entry, Learned
from aiosv3.streams.processor import OpenTenure
from aiosv3.streams.tenure import Phase, Wiring

KEEP_EVERY_S: Final = 10.0
_RETRY_S: Final = 0.5
_TOLD: Final = frozenset({LedgerKind.LEASE, LedgerKind.LEASE_RECALL})
"""What is told to a partition by its number; the others go to the partition of their budget."""
_RECALL_S: Final = 0.2
_RECALLS_KEPT: Final = 10_000
_LOG: Final = logging.getLogger(__name__)


class MoneyRouter(Effector, Protocol):
    """The router as its tenure uses it."""

    cashier: Cashier

    def overrule(self, request: Request, short: Short, epoch: int) -> Outgoing:
        """The refusal of a request whose decision did not fit the budget at its place in the own log."""
        ...

    def returned(self, place: Place, epoch: int) -> Outgoing:
        """The record by which a partition gives back money of a shared budget."""
        ...


class RouterTenure(EffectorTenure):
    """An effector's tenure that keeps the books of its partition beside its work."""

    def __init__(
        self,
        wiring: Wiring,
        partition: int,
        committed: Committed | None,
        start: Commit,
        *,
        router: MoneyRouter,
        codec: Codec,
        limit: int,
        topics: Topics,
        keep_every: float = KEEP_EVERY_S,
        patience: Patience | None = None,
    ) -> None:
        dead_letters = topics.dead_letters()
        super().__init__(wiring, partition, committed, start, effector=router, limit=limit, dead_letters=dead_letters)
        self._keeper = Keeper(wiring.log, codec, topics.ledger(), partition)
        self._keep_every = keep_every
        self._router = router
        self._codec = codec
        self._topics = topics
        self._pools = topics.prompts() + "."
        self._patience = patience
        self.books = Books(0, max(0, start.journal))
        self._borrower: Borrower | None = None
        self._recalled: dict[tuple[str, int], float] = {}
        """When who was asked last for what they have of a budget: once is enough for all that are short meanwhile."""
        self._begun = False
        self._early: list[Record] | None = []
        """Records of the journal that came before the books were restored: None once they are."""
        self._journal_end = -1
        self._read_up = False
        self._steps: deque[Callable[[], None]] = deque()
        """What waits, in order, behind a record whose schema is not known yet."""

    # -- what both logs say ---------------------------------------------------------------------------------------

    def learn(self, record: Record) -> Learned:
        learned = super().learn(record)
        if learned.id is not None:
            self._then(partial(self._tell, record))
        return learned

    def journaled(self, record: Record) -> None:
        if self.phase is Phase.STOPPED:
            return
        if self._early is not None:
            self._early.append(record)
        if self._begun:
            self._then(partial(self._tell, record))

    def _then(self, step: Callable[[], None]) -> None:
        self._steps.append(step)
        if len(self._steps) == 1:
            self._go_on()

    def _go_on(self) -> None:
        steps = self._steps
        while steps and self.own_open():
            try:
                steps[0]()
            except UnresolvedSchema as error:
                self._spawn(self._resolve(error.schema_id))
                return
            if steps:  # a step may end the tenure
                steps.popleft()

    async def _resolve(self, schema_id: int) -> None:
        while True:
            try:
                await self._codec.store.resolve(schema_id)
                break
            except RegistryUnavailable as error:
                _LOG.warning("%s[%s] waits: %s", self.wiring.name, self.partition, error)
                await asyncio.sleep(_RETRY_S)
            except AiosError as error:
                self.fail(error)
                return
        self._go_on()
        self.pump()

    def _tell(self, record: Record) -> None:
        """The books are told of every record, of what is none of the ledger's too: they count the places."""
        if record.topic == self.wiring.own_topic:
            self.books.read(record.offset, said_in(record, partial(place_of, self._codec)))
            return
        entry = said_in(record, partial(entry_of, self._codec))
        said = self.books.told(record.offset, entry)
        if self._borrower is not None and entry is not None:
            self._borrower.heard(entry)
            for one in said:
                self._say(one)

    # -- restore --------------------------------------------------------------------------------------------------

    async def recover(self, start: int, end: int) -> None:
        """The own log from where the books begin; the journal comes by itself, up to where it ends now."""
        self._begun = False
        self._steps.clear()
        log, journal = self.wiring.log, self.wiring.journal_topic or ""
        states = await self._keeper.restore()
        own_position, position = self._keeper.kept or (0, 0)
        bounds, own = await log.bounds(journal, self.partition), await log.bounds(self.own.topic, self.partition)
        self.books = Books(own_position, position, states)
        first = max(0, self.start.journal)
        if position < first:  # the commit says more than the ledger: entries between them are read here
            async for batch in log.read(journal, self.partition, max(position, bounds.start), first):
                for record in batch:
                    self._then(partial(self._tell, record))
        self._begun = True
        for record in self._early or ():
            self._then(partial(self._tell, record))
        await super().recover(max(own.start, min(start, own_position)), end)
        self._journal_end = bounds.end

    def restored(self) -> None:
        self._early = None
        self._spawn(self._keep())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._keep_every)
            try:
                await self._keeper.run(self.books, self.wiring.clock())
                if self._borrower is not None:
                    self._borrower.forget()
            except AiosError as error:
                _LOG.warning("%s[%s]: the ledger is not kept: %s", self.wiring.name, self.partition, error)

    def pump(self) -> None:
        if not self._read_up and self._journal_end >= 0 and not self._steps:
            self._read_up = self.books.settled and self._journal_end <= self.books.position
            if self._read_up:
                self._open_till()
        super().pump()

    def ready(self) -> bool:
        """The journal is read as far as it went when the partition was taken: what was settled is known."""
        return self._read_up and super().ready()

    def may_commit(self) -> bool:
        return self._read_up and super().may_commit()

    def journal_floor(self, stored: Sequence[int]) -> int:
        kept = self._keeper.kept
        return max(0, self.start.journal) if kept is None else kept[1]

    def halt(self) -> None:
        super().halt()
        self._steps.clear()
        self._router.cashier.closed(self.partition, self.books)
        self.books.close()
        if self._borrower is not None:
            self._borrower.close()

    # -- shared budgets -------------------------------------------------------------------------------------------

    def _open_till(self) -> None:
        self.books.read_up()
        cashier = self._router.cashier
        self._borrower = Borrower(
            self.partition, self.books, self._say, self._give, self._patience, cashier.tally.asked
        )
        cashier.opened(self.partition, self.books, self._borrower)

    def _say(self, entry: LedgerEntry) -> None:
        """To the partition that it is for. What gets lost is said again: by whoever asks, for one that asks again."""
        if entry.kind is LedgerKind.LEASE_RECALL and self._just_recalled(entry):
            return
        source = f"router/{self.partition}".encode()
        outgoing = entry_outgoing(self._topics, self._codec, entry, entry.budget.encode(), source)
        if entry.kind in _TOLD:
            outgoing = outgoing._replace(partition=entry.partition)
        self.wiring.log.append(outgoing, partial(self._said, entry))

    def _just_recalled(self, entry: LedgerEntry) -> bool:
        now, key = asyncio.get_running_loop().time(), (entry.budget, entry.partition)
        if now < self._recalled.get(key, 0.0) + _RECALL_S:
            return True
        if len(self._recalled) >= _RECALLS_KEPT:
            self._recalled.clear()
        self._recalled[key] = now
        return False

    def _said(self, entry: LedgerEntry, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, AppendFailed):
            _LOG.warning("%s[%s]: %s is not said: %s", self.wiring.name, self.partition, entry.id, ack)

    def _give(self, budget: str, amount: int) -> None:
        """By a record of the own log: it counts at its place, as decisions do, and only if that much is free there."""
        place = self.books.returning(budget, amount)
        if place is None:
            self._report(budget)
            return
        record = self._router.returned(place, self.epoch)
        record = record._replace(topic=self.wiring.own_topic, partition=self.partition)
        self.own.append(
            place.booking.id, record, -1, lambda entry, mine: self._then(partial(self._gave, place, entry, mine))
        )

    def _gave(self, place: Place, entry: Entry | AppendFailed, mine: bool) -> None:
        (budget,) = place.booking.budgets
        if isinstance(entry, AppendFailed):
            self.books.unreturned(place)
            return
        if mine:
            self.books.placed(entry.offset, budget, place.booking.id)
        self.books.after(entry.offset, partial(self._report, budget))

    def _report(self, budget: str) -> None:
        if self._borrower is not None and self.own_open():
            self._borrower.report(budget)

    # -- reservations that nothing will be called for ---------------------------------------------------------------

    def _send_on(self, request: Request, onward: Outgoing | None, sending: Sending, *, last: bool) -> None:
        """What was reserved for a call that is not going to be made is free before anybody hears of it."""
        if (onward is None or not onward.topic.startswith(self._pools)) and self._reserved(request):
            self._release_unused(request, partial(super()._send_on, request, onward, sending, last=last))
        else:
            super()._send_on(request, onward, sending, last=last)

    def _forwarded(
        self, request: Request, onward: Outgoing, sending: Sending, last: bool, ack: Appended | AppendFailed
    ) -> None:
        if _lost(ack, last=last) and self._reserved(request):
            self._release_unused(request, partial(super()._forwarded, request, onward, sending, last, ack))
        else:
            super()._forwarded(request, onward, sending, last, ack)

    def _reserved(self, request: Request) -> bool:
        tree = self.books.ahead.trees.get(request.body.grant.root)
        return tree is not None and request.id in tree.open

    def _release_unused(self, request: Request, then: Callable[[], None]) -> None:
        if not self.own_open():
            return
        outgoing = unused(self._topics, self._codec, request.id, request.body, "router")

        def done(ack: Appended | AppendFailed) -> None:
            if isinstance(ack, AppendUnknown):
                self._release_unused(request, then)
            elif self.own_open():
                then()

        self.wiring.log.append(outgoing, done)

    def _unanswerable(self, request: Request, error: AppendFailed, *, last: bool) -> None:
        self.books.dropped(request.body.grant.root, request.id)
        super()._unanswerable(request, error, last=last)

    def _give_up(self, request: Request, error: AiosError) -> None:
        self.books.dropped(request.body.grant.root, request.id)
        super()._give_up(request, error)

    # -- rule 26 --------------------------------------------------------------------------------------------------

    def act(self, request: Request, entry: Entry, answer: Outgoing | None, *, mine: bool) -> None:
        """What the ledger says of a decision holds, whoever made it: one that did not fit is not forwarded."""
        self._then(partial(self._placed, request, entry, answer, mine=mine))

    def _placed(self, request: Request, entry: Entry, answer: Outgoing | None, *, mine: bool) -> None:
        if mine:
            self.books.placed(entry.offset, request.body.grant.root, request.id)
        self.books.after(entry.offset, partial(self._judged, request, entry, answer, mine=mine))

    def _judged(self, request: Request, entry: Entry, answer: Outgoing | None, *, mine: bool) -> None:
        if not self.own_open():
            return
        over = overruled_id(request.id)
        refused = self.own.memory.get(over)
        short = self.books.void(request.body.grant.root, request.id)
        if refused is not None:
            super().act(request, refused, None, mine=False)
        elif short is None:
            super().act(request, entry, answer, mine=mine)
        else:
            refusal = self._router.overrule(request, short, self.epoch)
            refusal = refusal._replace(topic=self.wiring.own_topic, partition=self.partition)
            self.own.append(over, refusal, request.record.offset, partial(self._overruled, request, refusal))

    def _overruled(self, request: Request, refusal: Outgoing, entry: Entry | AppendFailed, mine: bool) -> None:
        if isinstance(entry, AppendFailed):
            self._unanswerable(request, entry, last=True)
        else:
            super().act(request, entry, refusal if mine else None, mine=mine)


def _lost(ack: Appended | AppendFailed, *, last: bool) -> bool:
    """True where the record is not sent again, nor a refusal instead of it."""
    if not isinstance(ack, AppendFailed) or isinstance(ack, AppendUnknown):
        return False
    return last or not isinstance(ack, RecordTooLarge)


def keeping_books(
    wiring: Wiring,
    router: MoneyRouter,
    codec: Codec,
    limit: int,
    topics: Topics,
    keep_every: float = KEEP_EVERY_S,
    patience: Patience | None = None,
) -> OpenTenure:
    """Opens tenures of ``router``, each with at most ``limit`` requests in work."""

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> RouterTenure:
        return RouterTenure(
            wiring,
            partition,
            committed,
            start,
            router=router,
            codec=codec,
            limit=limit,
            topics=topics,
            keep_every=keep_every,
            patience=patience,
        )

    return open_tenure
