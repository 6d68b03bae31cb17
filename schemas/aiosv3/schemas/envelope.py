"""Task and result envelopes: fixed fields that stay readable in any Kafka UI, and a content that may be
sealed.

Both schemas are derived for each agent: ``content`` is null, the record of the agent's own type, or bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from aiosv3.schemas.codec import UNFIT, Codec, Reader
from aiosv3.schemas.contents import NULLABLE, branch_of, content_fields, described, opened, tagged
from aiosv3.schemas.derive import Derived, derive, namespace, validation_words
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure, Usage
from aiosv3.schemas.released import inline, source_schema
from aiosv3.schemas.results import ResultWriter
from aiosv3.schemas.state import Projection, StateChange, StateSchemas
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.schemas.twins import Twin, twin

T = TypeVar("T")

_MILLIS: Final = {"type": "long", "logicalType": "timestamp-millis"}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class TaskEnvelope(Generic[T]):
    """A task.

    ``sealed`` holds the encrypted content where ``content_key_id`` is set; then ``content`` is None.
    """

    task_id: str
    content: T | None
    root_id: str | None = None
    sealed: bytes | None = None
    content_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResultEnvelope(Generic[T]):
    """The end of a task. Times are in milliseconds since the epoch; ``journal_offset`` is -1 where there is
    none.

    ``input_offset``, ``epoch``, ``request_hash`` and ``reply`` let it be forwarded again without its task.
    """

    task_id: str
    root_id: str
    outcome: Outcome
    input_offset: int
    epoch: int
    request_hash: str
    started_at: int
    finished_at: int
    code_version: str
    content: T | None = None
    task_key: str | None = None
    error: StepFailure | None = None
    reply: ReplyTo | None = None
    journal_offset: int = -1
    usage: Usage = field(default_factory=Usage)
    sealed: bytes | None = None
    content_key_id: str | None = None
    state: StateChange | None = None
    """Only of agents with state: what its key has from here on; None where that stays as it was."""


class AgentSchemas:
    """The schemas of one agent, and values to and from them; ``state`` only of an agent that keeps some for each key.

    The types are pydantic models, dataclasses, or whatever a TypeAdapter takes; anything but a model or
    dataclass stands in field ``value`` of record ``<Agent>Input`` or ``<Agent>Output``. Raises
    :class:`UnsupportedType` and :class:`BadName`. Encoding needs the subject to be registered
    (:meth:`register`) and raises :class:`MalformedValue`; decoding raises what :class:`Codec` raises.
    """

    def __init__(
        self, agent: str, input_type: Any, output_type: Any, topics: Topics | None = None, state_type: Any = None
    ) -> None:
        topics = topics or Topics()
        self.agent = agent
        self.task_subject = topics.subject(topics.tasks(agent))
        self.result_subject = topics.subject(topics.results(agent))
        pascal = "".join(part[:1].upper() + part[1:] for part in agent.split("-"))
        self._pascal = f"_{pascal}" if pascal[:1].isdigit() else pascal
        taken = frozenset({f"{self._pascal}Task", f"{self._pascal}Result"})
        self._input = derive(input_type, agent, f"{self._pascal}Input", taken)
        self._output = derive(output_type, agent, f"{self._pascal}Output", taken)
        self.task_schema = self._envelope("Task", "A task", _task_fields(self._input))
        self.state: StateSchemas | None = None
        ending = _result_fields(self._output)
        if state_type is not None:
            self.state = StateSchemas(agent, self._pascal, state_type, topics.subject(topics.state(agent)))
            ending.append(self.state.change_field)
        self.result_schema = self._envelope("Result", "The end of a task", ending)
        self._task_reader = Reader(self.task_schema)
        self._result_reader = Reader(self.result_schema)
        self._result_writer = ResultWriter(self.result_schema, self._output.schema) if self.state is None else None

    @cached_property
    def input_json_schema(self) -> Mapping[str, Any]:
        """JSON Schema (2020-12) of what a producer of plain JSON sends.

        The bare input, without an envelope.
        """
        return MappingProxyType(self._input.adapter.json_schema(mode="validation"))

    @cached_property
    def output_json_schema(self) -> Mapping[str, Any]:
        """JSON Schema (2020-12) of the output."""
        return MappingProxyType(self._output.adapter.json_schema(mode="serialization"))

    async def register(self, store: SchemaStore) -> None:
        """Registers its subjects; raises what :meth:`SchemaStore.register` raises."""
        await store.register(self.task_subject, self.task_schema)
        await store.register(self.result_subject, self.result_schema)
        if self.state is not None:
            await store.register(self.state.subject, self.state.schema)

    def encode_task(self, codec: Codec, task: TaskEnvelope[Any]) -> bytes:
        """The value of a task record."""
        datum = {
            "task_id": task.task_id,
            "root_id": tagged("string", task.root_id),
            "content": branch_of(self._input, task.content, task.sealed, empty=self._input.nullable),
            "content_key_id": tagged("string", task.content_key_id),
        }
        return codec.encode_value(self.task_subject, datum)

    def decode_task(self, codec: Codec, value: bytes) -> TaskEnvelope[Any]:
        """The task, its content validated."""
        datum = codec.decode_by(self._task_reader, value)
        content, sealed = opened(self._input, datum["content"])
        return TaskEnvelope(datum["task_id"], content, datum["root_id"], sealed, datum["content_key_id"])

    def parse_json_task(self, value: bytes) -> Any:
        """The input, from plain JSON that fits :attr:`input_json_schema`; raises :class:`MalformedValue`."""
        try:
            return self._input.adapter.validate_json(value)
        except ValidationError as error:
            raise MalformedValue(f"the JSON is no input of {self.agent}: {validation_words(error)}") from None

    def encode_result(self, codec: Codec, result: ResultEnvelope[Any]) -> bytes:
        """The value of a result record."""
        empty = self._output.nullable and result.outcome is Outcome.OK
        content = branch_of(self._output, result.content, result.sealed, empty=empty)
        begin = codec.begin_of(self.result_subject, self._result_reader.mark)
        if begin is None or self._result_writer is None:
            return codec.encode_value(self.result_subject, self._result_datum(result, content))
        try:
            return self._result_writer.write(begin, result, content)
        except UNFIT as error:
            raise MalformedValue(f"the result does not fit: {type(error).__name__} {error}") from error

    def _result_datum(self, result: ResultEnvelope[Any], content: Any) -> dict[str, Any]:
        datum = {
            "task_id": result.task_id,
            "root_id": result.root_id,
            "task_key": tagged("string", result.task_key),
            "outcome": result.outcome.value,
            "error": None if result.error is None else ("aiosv3.StepFailure", _parts.failure.to_datum(result.error)),
            "input_offset": result.input_offset,
            "epoch": result.epoch,
            "request_hash": result.request_hash,
            "reply": None if result.reply is None else ("aiosv3.ReplyTo", _parts.reply.to_datum(result.reply)),
            "journal_offset": result.journal_offset,
            "started_at": result.started_at,
            "finished_at": result.finished_at,
            "code_version": result.code_version,
            "usage": _parts.usage.to_datum(result.usage),
            "content": content,
            "content_key_id": tagged("string", result.content_key_id),
        }
        if self.state is not None:
            datum["state"] = self.state.change_datum(result.state)
        return datum

    def decode_result(self, codec: Codec, value: bytes) -> ResultEnvelope[Any]:
        """The result, its content validated; without its state, which :meth:`change` reads.

        Whether today's code can use that state says nothing about the answer.
        """
        datum = codec.decode_by(self._result_reader, value)
        error, reply = datum["error"], datum["reply"]
        datum["outcome"] = _OUTCOMES[datum["outcome"]]
        datum["error"] = None if error is None else _parts.failure.from_datum(error)
        datum["reply"] = None if reply is None else _parts.reply.from_datum(reply)
        datum["usage"] = _parts.usage.from_datum(datum["usage"])
        datum["content"], sealed = opened(self._output, datum["content"])
        datum.pop("state", None)
        return ResultEnvelope(**datum, sealed=sealed)

    def change(self, codec: Codec, value: bytes) -> StateChange | None:
        """What a result says of its key's state, validated; None where that stays as it was."""
        if self.state is None:
            return None
        return self.state.change_of(codec.decode_by(self._result_reader, value)["state"])

    def projection(self, codec: Codec, value: bytes, offset: int) -> Projection | None:
        """What the result at ``offset`` makes of its key's state; None where that stays as it was."""
        if self.state is None:
            return None
        return self.state.projection(codec, codec.decode_by(self._result_reader, value), offset)

    def _envelope(self, kind: str, words: str, fields: list[dict[str, Any]]) -> Schema:
        head = {"type": "record", "name": self._pascal + kind, "namespace": namespace(self.agent)}
        return {**head, "doc": f"{words} of agent {self.agent}.", "fields": fields}


class _Parts:
    """Converters of the fixed records inside a result, made when they are first needed."""

    @cached_property
    def failure(self) -> Twin[StepFailure]:
        return twin(StepFailure, source_schema("StepFailure"))

    @cached_property
    def reply(self) -> Twin[ReplyTo]:
        return twin(ReplyTo, source_schema("ReplyTo"))

    @cached_property
    def usage(self) -> Twin[Usage]:
        return twin(Usage, source_schema("Usage"))


_parts: Final = _Parts()


def _task_fields(derived: Derived) -> list[dict[str, Any]]:
    return [
        described("task_id", "string", "Identifier of the task, the same as in header ce_id."),
        described(
            "root_id", NULLABLE, "Identifier of the task at the root of the tree; null at the root.", default=None
        ),
        *content_fields(derived, "The input"),
    ]


def _result_fields(derived: Derived) -> list[dict[str, Any]]:
    defined: set[str] = set()
    failure, reply = inline(["null", "aiosv3.StepFailure"], defined), inline(["null", "aiosv3.ReplyTo"], defined)
    return [
        described("task_id", "string", "Identifier of the task."),
        described("root_id", "string", "Identifier of the task at the root of the tree."),
        described("task_key", NULLABLE, "Key of the task: its customer, conversation or order.", default=None),
        described("outcome", inline("aiosv3.Outcome", defined), "How the task ended."),
        described("error", failure, "Why it failed; null when it did not.", default=None),
        described("input_offset", "long", "Offset of the task in its topic."),
        described("epoch", "long", "Offset of the ownership marker of the worker that finished it."),
        described("request_hash", "string", "Hash of the task's content."),
        described("reply", reply, "Where the result goes; null when nobody waits.", default=None),
        described("journal_offset", "long", "Offset of the journal record that finished it; -1 for none.", default=-1),
        described("started_at", _MILLIS, "Broker time of the task record."),
        described("finished_at", _MILLIS, "Broker time of the journal record that finished it."),
        described("code_version", "string", "Version of the agent's code."),
        described("usage", inline("aiosv3.Usage", defined), "What its model calls consumed."),
        *content_fields(derived, "The output"),
    ]
