"""How a task ends: result first, then the answer to who asked, then its offset (protocol rules 3, 4 and 14)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from aiosv3.agents.facts import Finish
from aiosv3.agents.worker.forgetting import finish_of
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.sending import StepSender
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.agents.worker.state import StateTable
from aiosv3.schemas.envelope import ResultEnvelope
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.headers import Reply
from aiosv3.schemas.records import Outcome, StepFailure
from aiosv3.schemas.sealing import KeyShredded
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.ownlog import Entry
from aiosv3.streams.tenure import Phase, Tenure

_LOG: Final = logging.getLogger(__name__)
_RETRY_S: Final = 0.5


class Ending:
    """Appends results, forwards them and completes inputs. ``leave(live)`` is called when a task has its result."""

    def __init__(
        self,
        tenure: Tenure,
        setup: AgentSetup,
        sender: StepSender,
        graveyard: Graveyard,
        leave: Callable[[LiveTask], None],
        states: StateTable | None = None,
    ) -> None:
        self._tenure = tenure
        self._setup = setup
        self._sender = sender
        self._graveyard = graveyard
        self._leave = leave
        self._states = states
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """True while results are read again to be forwarded."""
        return bool(self._answers)

    def stop(self) -> None:
        """Cancels what is being forwarded; the next owner does it again."""
        for task in self._answers:
            task.cancel()

    def conclude(self, live: LiveTask, finish: Finish) -> None:
        """Appends the result; the first one of its id counts, whoever wrote it (rule 4)."""
        live.ending = True
        live.disarm()
        record = self._result(live, finish)
        self._tenure.own.append(live.task.id, record, live.record.offset, partial(self._settled, live, record))

    def reject(self, live: LiveTask, error: WireError) -> None:
        """An input that cannot be run: a dead letter, then its result. None where its subject was forgotten: it would
        keep what outsiders wrote in plain.
        """
        finish = finish_of(live.record, error)
        if isinstance(error, KeyShredded):
            self.conclude(live, finish)
        else:
            self._graveyard.bury(live.record, error, lambda: None if live.ending else self.conclude(live, finish))

    def _result(self, live: LiveTask, finish: Finish) -> Outgoing:
        try:
            return self._sender.messages.result(live.record, live.task, live.run, finish)
        except (AiosError, ValueError, TypeError) as error:
            failure = StepFailure("ResultInvalid", f"the result is not of the declared type: {error}", retryable=False)
            failed = Finish(Outcome.FAILED, finish.journal_offset, finish.timestamp, None, failure)
            return self._sender.messages.result(live.record, live.task, live.run, failed)

    def _settled(self, live: LiveTask, record: Outgoing, entry: Entry | AppendFailed, mine: bool) -> None:
        if isinstance(entry, AppendFailed):
            failure = StepFailure("RecordRejected", f"the result does not fit on the log: {entry}", retryable=False)
            finish = Finish(Outcome.FAILED, -1, live.task.timestamp, None, failure)
            self.conclude(live, finish)
            return
        value = record.value if mine else None
        if self._states is None or live.task.key is None:
            self._close(live, value, entry)
        else:
            self._spawn(self._keep(self._states, live, live.task.key, value, entry))

    async def _keep(self, states: StateTable, live: LiveTask, key: str, value: bytes | None, entry: Entry) -> None:
        """The state is on its topic before anybody hears of the result and before the key's next task begins."""
        await states.project(key, entry, value)
        self._close(live, value, entry)

    def _close(self, live: LiveTask, value: bytes | None, entry: Entry) -> None:
        self._leave(live)
        if live.task.reply is None:
            self._tenure.complete(live.record.offset)
        elif value is not None:
            self._answer(live.record, value, entry)
        else:
            self._spawn(self._answer_again(live.record, entry))

    def again(self, record: Record, reply: Reply | None, entry: Entry) -> None:
        """An input that has its result already: forwarded again, never done again (rule 14)."""
        tenure = self._tenure
        tenure.wiring.metrics.answered_again.inc()
        if reply is None:
            tenure.complete(record.offset)
            return
        tenure.offsets.pin(record.offset, entry.offset)
        self._spawn(self._answer_again(record, entry))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._answers.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AiosError):
            self._tenure.fail(error)
        elif error is not None:
            raise error

    async def _answer_again(self, record: Record, entry: Entry) -> None:
        tenure = self._tenure
        while tenure.phase is not Phase.STOPPED:
            try:
                await self._answer_as_written(record, entry)
                return
            except (AppendUnknown, RegistryUnavailable) as error:
                _LOG.warning("%s[%s]: answers again in a moment: %s", tenure.wiring.name, tenure.partition, error)
                await asyncio.sleep(_RETRY_S)

    async def _answer_as_written(self, record: Record, entry: Entry) -> None:
        value = (await self._tenure.own.record(entry)).value or b""
        try:
            self._answer(record, value, entry)
        except UnresolvedSchema as error:
            await self._setup.store.resolve(error.schema_id)
            self._answer(record, value, entry)

    def _answer(self, record: Record, value: bytes, entry: Entry) -> None:
        tenure = self._tenure
        result: ResultEnvelope[Any] = self._setup.schemas.decode_result(self._setup.codec, value)
        source = f"{tenure.wiring.own_topic}/{tenure.partition}/{entry.offset}".encode()
        answer = self._sender.messages.answer(result, source)
        if answer is None:
            tenure.complete(record.offset)
            return
        self._sender.append(answer, partial(self._replied, record))

    def _replied(self, record: Record, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, AppendFailed):
            self._graveyard.bury(record, ack, lambda: self._tenure.complete(record.offset))
        else:
            self._tenure.complete(record.offset)
