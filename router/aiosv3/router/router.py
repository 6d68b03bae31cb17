"""The router: ``prompts`` → ``prompts.<pool>``, decided from headers and tables alone; the bytes go on untouched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiosv3.router.ledger.accounts import Short
from aiosv3.router.ledger.books import Place
from aiosv3.router.ledger.cashier import Cashier, Priced, exceeded
from aiosv3.router.ledger.reading import DECISION_TYPE
from aiosv3.router.policy import POLICY_VERSION, Choice, choose
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.conversations import Conversations
from aiosv3.router.routing.outlook import Outlook
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedHeader
from aiosv3.schemas.money import overruled_id
from aiosv3.schemas.records import (
    Candidate,
    Decision,
    DecisionOutcome,
    Outcome,
    StepFailure,
    cancel_request_id,
    is_cancel_request,
)
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.requests import Ask, read_request

_CANCEL_TYPE: Final = names.CANCEL_TYPE.encode()
_CANCELS_KEPT: Final = 100_000
_RETURNS: Final = b"aiosv3/ledger"
"""``ce_source`` of a return: no input made it."""


class Router:
    """Implements :class:`~aiosv3.streams.effector.Effector`. ``clock``: milliseconds since the epoch."""

    def __init__(
        self,
        topics: Topics,
        codec: Codec,
        pools: Sequence[Pool],
        table: PoolTable,
        clock: Callable[[], int],
        cashier: Cashier | None = None,
        policies: PolicyBook | None = None,
        prices_version: str = POLICY_VERSION,
    ) -> None:
        self.cashier = cashier or Cashier()
        self.outlook = Outlook(pools, table, policies)
        self._conversations = Conversations()
        self._returns = table.returns
        self._prices_version = prices_version
        self._topics = topics
        self._codec = codec
        self._clock = clock
        self._cancelled: dict[str, None] = {}
        """Decisions that a tree is cancelled, by id, oldest first: a cache of the own log, as its memory is."""

    def read(self, record: Record) -> Request | Unresolved:
        return read_request(record)

    def learn(self, record: Record) -> Learned:
        learned = learn_from_headers(record)
        if learned.id is not None and is_cancel_request(learned.id):
            self._note_cancelled(learned.id)
        return learned

    def _note_cancelled(self, cancel_id: str) -> None:
        self._cancelled[cancel_id] = None
        if len(self._cancelled) > _CANCELS_KEPT:
            del self._cancelled[next(iter(self._cancelled))]

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """Decides. The decision is on the own log before anything moves. Awaitable where it waits for money."""
        ask: Ask = request.body
        if request.record.header(names.CE_TYPE) == _CANCEL_TYPE:
            self._note_cancelled(request.id)  # its decision goes to the log ahead of those made after it
            return self._decision(request, epoch, Choice(None, "its tree was cancelled", ()))
        if cancel_request_id(ask.grant.root) in self._cancelled:
            return self._of_cancelled(request, epoch)
        now = self._clock()
        if ask.grant.exp is not None and ask.grant.exp <= now:
            failure = StepFailure(
                "StepTimeout", "the task's deadline passed before its request was routed", retryable=False
            )
            return self._decision(request, epoch, Choice(None, "past its deadline", (), error=failure))
        if ask.route.tried:
            self._returns.came_back(ask.route.tried[-1], now)
        view = self.outlook.at(now)
        sticky = self._conversations.pool_of(ask.route.prefix)
        priced = self.cashier.priced(
            request.record.partition,
            request.id,
            ask.grant,
            ask.route,
            lambda route: choose(ask.grant, route, view.pools, view.health, view.policy, sticky),
        )
        if isinstance(priced, Priced):
            return self._decision(request, epoch, priced.choice, priced)
        return self._priced_later(request, epoch, priced)

    async def _priced_later(self, request: Request, epoch: int, later: Awaitable[Priced]) -> Outgoing:
        priced = await later
        if cancel_request_id(request.body.grant.root) in self._cancelled:
            self.cashier.withdrawn(request.record.partition, priced)
            return self._of_cancelled(request, epoch)
        return self._decision(request, epoch, priced.choice, priced)

    def _of_cancelled(self, request: Request, epoch: int) -> Outgoing:
        words = f"the tree of {request.body.grant.root} was cancelled: its requests are not routed any more"
        failure = StepFailure("TreeCancelled", words, retryable=False)
        return self._decision(request, epoch, Choice(None, words, (), error=failure))

    def _decision(
        self, request: Request, epoch: int, choice: Choice, priced: Priced | None = None, record_id: str = ""
    ) -> Outgoing:
        ask: Ask = request.body
        booking = None if priced is None else priced.booking
        if choice.pool is not None:
            self._conversations.went_to(ask.route.prefix, choice.pool.name)
            self._returns.went(choice.pool.name, self._clock())
        decision = Decision(
            request_id=request.id,
            root_id=ask.grant.root,
            task_id=ask.reply.task if ask.reply is not None else "",
            attempt=ask.route.attempt,
            input_offset=request.record.offset,
            epoch=epoch,
            request_hash=ask.route.hash,
            first_sent=request.first_sent,
            reply=reply_to(ask.reply),
            outcome=DecisionOutcome.REFUSED if choice.pool is None else DecisionOutcome.ROUTED,
            pool=None if choice.pool is None else choice.pool.name,
            model=None if choice.pool is None else choice.pool.model,
            reason=choice.reason,
            candidates=choice.candidates,
            policy_version=choice.policy_version,
            prices_version=self._prices_version,
            ledger_position=-1 if priced is None else priced.position,
            reserved_usd_micros=choice.cost,
            error=choice.error,
            cap_usd_micros=ask.grant.cap,
            budgets=() if booking is None else booking.budgets,
            expires_at=ask.grant.exp,
            rules=choice.rules,
            sticky=choice.sticky,
            pools_version=self.outlook.pools_version,
            limit_usd_micros=choice.limit,
        )
        headers = event(DECISION_TYPE, record_id or request.id, provenance(request.record), AVRO, ask.traceparent)
        ask.made = self._codec.encode(decision), decision
        return Outgoing("", None, request.id.encode(), ask.made[0], headers)

    def overrule(self, request: Request, short: Short, epoch: int) -> Outgoing:
        """The refusal of a request whose decision did not fit the budget at its place in the own log (rule 26)."""
        words = f"at its place in the log its decision did not fit: {short}"
        choice = Choice(None, words, (), error=exceeded(short))
        return self._decision(request, epoch, choice, record_id=overruled_id(request.id))

    def returned(self, place: Place, epoch: int) -> Outgoing:
        """Money of a shared budget goes back to it, by a record that stands among the decisions and is none."""
        booking = place.booking
        decision = Decision(
            request_id=booking.id,
            root_id=booking.root,
            task_id="",
            attempt=0,
            input_offset=-1,
            epoch=epoch,
            request_hash="",
            first_sent=0,
            reply=None,
            outcome=DecisionOutcome.REFUSED,
            pool=None,
            model=None,
            reason="money goes back to its budget",
            candidates=(),
            policy_version=POLICY_VERSION,
            prices_version=self._prices_version,
            ledger_position=place.position,
            reserved_usd_micros=booking.amount,
            budgets=booking.budgets,
        )
        headers = event(DECISION_TYPE, booking.id, _RETURNS, AVRO, b"")
        return Outgoing("", None, booking.id.encode(), self._codec.encode(decision), headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """To the pool of the decision, key by prefix group or request; a refusal goes back to the asker (rule 15)."""
        if answer.value is None:
            raise MalformedHeader("a decision without a value")
        record = request.record
        ask: Ask = request.body
        decision: Decision = ask.take_made(answer.value) or self._codec.decode_as(Decision, answer.value)
        if decision.pool is not None and self.outlook.may_see(decision.pool, ask.grant):
            key = (ask.route.prefix or request.id).encode()
            return Outgoing(self._topics.pool_prompts(decision.pool), None, key, record.value, record.headers)
        if decision.reply is None:
            return None
        error = decision.error or StepFailure(
            "ClearanceDenied", f"pool {decision.pool} may not see this copy", retryable=False
        )
        back = answer_record(decision.reply, decision.request_hash, Outcome.FAILED, None, error=error)
        source = provenance(record)
        return journal_outgoing(self._codec, decision.reply.topic, decision.reply.partition, back, source)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        failure = StepFailure(type(error).__name__, str(error), retryable=False)
        nobody: tuple[Candidate, ...] = ()
        return self._decision(request, epoch, Choice(None, str(error), nobody, error=failure))
