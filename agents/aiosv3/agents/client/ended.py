"""How a task ended: its typed result, or the typed error that it ended with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from aiosv3.agents.agent import Agent
from aiosv3.agents.client.errors import ResultUnreadable
from aiosv3.agents.client.link import Link
from aiosv3.agents.client.plain import plain
from aiosv3.agents.errors import AgentFailed, StepError, SubjectForgotten, TreeCancelled, step_error
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.records import Outcome, StepFailure, Usage
from aiosv3.schemas.sealing import ANSWER, NoKey, SealError
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Record

Out = TypeVar("Out")
_MICROS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Ended(Generic[Out]):
    """The end of a task. ``output`` where ``outcome`` is OK, else ``error``. Times are the broker's;
    ``latency_ms``: from the task event to its result, both on the log.

    ``fields``: everything that the result record says, times in ms; ``output`` there is plain data.
    """

    task: TaskHandle
    outcome: Outcome
    output: Out | None
    error: StepError | None
    started_at: datetime
    finished_at: datetime
    latency_ms: int
    usage: Usage
    fields: dict[str, Any]

    @property
    def cost_usd(self) -> float:
        """What its model calls cost."""
        return self.usage.cost_usd_micros / _MICROS

    def value(self) -> Out:
        """The output; raises the error."""
        if self.error is not None:
            raise self.error
        return self.output  # type: ignore[return-value]  # None only where that is a value of the type


class Ends(Generic[Out]):
    """Reads results of one agent: as its own types where its code is here, else as plain data."""

    def __init__(self, link: Link, agent: Agent[Any, Out] | str) -> None:
        self._link = link
        self._agent = None if isinstance(agent, str) else agent
        self._schemas: AgentSchemas | None = None

    async def prepare(self) -> None:
        """Before the first :meth:`read`. Without a registry schemas get their numbers here as at the worker."""
        agent = self._agent
        if agent is None or self._schemas is not None:
            return
        topics = self._link.topics
        schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, topics, agent.state_type)
        if self._link.lone:
            await schemas.register(self._link.store)
        self._schemas = schemas

    async def read(self, task: TaskHandle, record: Record) -> Ended[Out]:
        """Raises :class:`ResultUnreadable`, ``UnknownSchema``, ``RegistryUnavailable``."""
        value = record.value or b""
        while True:
            try:
                return self._read(task, record, value)
            except UnresolvedSchema as error:
                await self._link.store.resolve(error.schema_id)
            except UnresolvedKey as missing:
                await missing.resolved()
            except MalformedValue as error:
                raise ResultUnreadable(f"the result of {task} cannot be read: {error}") from None

    def _read(self, task: TaskHandle, record: Record, value: bytes) -> Ended[Out]:
        codec = self._link.codec
        decoded = codec.decode(value)
        schema = codec.store.schema(decoded.schema_id)
        fields = dict(decoded.datum)
        kind = next(field["type"] for field in schema["fields"] if field["name"] == "content")
        outcome, raw = Outcome(fields["outcome"]), fields.pop("content")
        said = self._said(task, outcome, raw, str(fields["content_key_id"])) if isinstance(raw, bytes) else None
        content = plain(raw, kind) if said is None else json.loads(said) if outcome is Outcome.OK else None
        fields = {**fields, "output": content, "task": str(task)}
        if said is not None and fields["error"] is not None:
            fields["error"] = {**fields["error"], "message": said}
        output: Any = content
        if outcome is Outcome.OK and self._agent is not None and said is not None:
            output = self._agent.output_adapter.validate_json(said)
        elif outcome is Outcome.OK and self._schemas is not None:
            output = self._schemas.decode_result(codec, value).content
        failure = fields["error"]
        return Ended(
            task=task,
            outcome=outcome,
            output=output,
            error=self._error(task, record, outcome, None if failure is None else StepFailure(**failure)),
            started_at=_moment(decoded.datum["started_at"]),
            finished_at=_moment(decoded.datum["finished_at"]),
            latency_ms=max(0, record.timestamp - decoded.datum["started_at"]),
            usage=Usage(**fields["usage"]),
            fields=fields,
        )

    def _said(self, task: TaskHandle, outcome: Outcome, body: bytes, key_id: str) -> str | None:
        """What is sealed; None for the words of an error that cannot be opened. Raises UnresolvedKey."""
        ring = self._link.ring
        try:
            if ring is None:
                raise NoKey("this client has no keys: it needs [sealing] and its master keys here ('aiosv3 keys copy')")
            return ring.open(ANSWER, task.task_id, body).decode("utf-8", "surrogatepass")
        except SealError as error:
            if outcome is Outcome.OK:
                raise ResultUnreadable(f"the result of {task} is sealed with key {key_id}: {error}") from None
            return None

    def _error(
        self, task: TaskHandle, record: Record, outcome: Outcome, failure: StepFailure | None
    ) -> StepError | None:
        if outcome is Outcome.OK:
            return None
        place: dict[str, Any] = {"topic": record.topic, "offset": record.offset}
        if outcome is Outcome.CANCELLED:
            if failure is not None and failure.type == SubjectForgotten.__name__:
                return SubjectForgotten(f"{task} was cancelled: its subject was forgotten", step="", **place)
            return TreeCancelled(f"{task} was cancelled", step="", **place)
        own = None if self._agent is None or failure is None else _class_of(self._agent, failure.type)
        if own is None or failure is None:
            return step_error(failure, "" if failure is None else failure.step or "", AgentFailed)
        error = own.__new__(own)
        StepError.__init__(error, failure.message, retryable=failure.retryable, step=failure.step, **place)
        return error


def _class_of(agent: Agent[Any, Any], name: str) -> type[StepError] | None:
    """The error class that the agent's module knows by this name: its own ones among them."""
    found = getattr(agent.function, "__globals__", {}).get(name)
    return found if isinstance(found, type) and issubclass(found, StepError) else None


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
