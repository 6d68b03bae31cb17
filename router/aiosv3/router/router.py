"""The router: ``prompts`` → ``prompts.<pool>``, decided from headers and tables alone; the bytes go on untouched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from aiosv3.router.policy import POLICY_VERSION, Choice, choose
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedHeader
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

DECISION_TYPE: Final = b"aiosv3.decision"
_CANCEL_TYPE: Final = names.CANCEL_TYPE.encode()
_CANCELS_KEPT: Final = 100_000


class Router:
    """Implements :class:`~aiosv3.streams.effector.Effector`. ``clock``: milliseconds since the epoch."""

    def __init__(
        self, topics: Topics, codec: Codec, pools: Sequence[Pool], table: PoolTable, clock: Callable[[], int]
    ) -> None:
        self._topics = topics
        self._codec = codec
        self._pools = tuple(pools)
        self._table = table
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

    def work(self, request: Request, epoch: int) -> Outgoing:
        """Decides. The decision is on the own log before anything moves."""
        ask: Ask = request.body
        if request.record.header(names.CE_TYPE) == _CANCEL_TYPE:
            self._note_cancelled(request.id)  # its decision goes to the log ahead of those made after it
            return self._decision(request, epoch, Choice(None, "its tree was cancelled", ()))
        if cancel_request_id(ask.grant.root) in self._cancelled:
            words = f"the tree of {ask.grant.root} was cancelled: its requests are not routed any more"
            failure = StepFailure("TreeCancelled", words, retryable=False)
            return self._decision(request, epoch, Choice(None, words, (), error=failure))
        now = self._clock()
        if ask.grant.exp is not None and ask.grant.exp <= now:
            failure = StepFailure(
                "StepTimeout", "the task's deadline passed before its request was routed", retryable=False
            )
            return self._decision(request, epoch, Choice(None, "past its deadline", (), error=failure))
        health = {pool.name: self._table.health(pool.name, now) for pool in self._pools}
        return self._decision(request, epoch, choose(ask.grant, ask.route, self._pools, health))

    def _decision(self, request: Request, epoch: int, choice: Choice) -> Outgoing:
        ask: Ask = request.body
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
            policy_version=POLICY_VERSION,
            prices_version=POLICY_VERSION,
            reserved_usd_micros=choice.cost,
            error=choice.error,
        )
        headers = event(DECISION_TYPE, request.id, provenance(request.record), AVRO, ask.traceparent)
        key = request.id.encode()
        return Outgoing("", None, key, self._codec.encode(decision), headers)

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """To the pool of the decision, key by prefix group or request; a refusal goes back to the asker (rule 15)."""
        if answer.value is None:
            raise MalformedHeader("a decision without a value")
        decision = self._codec.decode_as(Decision, answer.value)
        record = request.record
        ask: Ask = request.body
        if decision.pool is not None and self._may_see(decision.pool, ask):
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

    def _may_see(self, pool: str, ask: Ask) -> bool:
        """A copy of a request must not be of a higher class than the copy that was decided on."""
        return any(p.name == pool and ask.grant.clearance <= p.clearance for p in self._pools)

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        failure = StepFailure(type(error).__name__, str(error), retryable=False)
        nobody: tuple[Candidate, ...] = ()
        return self._decision(request, epoch, Choice(None, str(error), nobody, error=failure))
