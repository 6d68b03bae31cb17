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

from aiosv3.schemas.codec import Codec, Reader
from aiosv3.schemas.derive import Derived, derive, namespace, validation_words
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure, Usage
from aiosv3.schemas.released import inline, source_schema
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.schemas.twins import Twin, twin

T = TypeVar("T")

_NULLABLE: Final = ["null", "string"]
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


class AgentSchemas:
    """Both schemas of one agent, and values to and from them.

    The types are pydantic models, dataclasses, or whatever a TypeAdapter takes; anything but a model or
    dataclass stands in field ``value`` of record ``<Agent>Input`` or ``<Agent>Output``. Raises
    :class:`UnsupportedType` and :class:`BadName`. Encoding needs the subject to be registered
    (:meth:`register`) and raises :class:`MalformedValue`; decoding raises what :class:`Codec` raises.
    """

    def __init__(self, agent: str, input_type: Any, output_type: Any, topics: Topics | None = None) -> None:
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
        self.result_schema = self._envelope("Result", "The end of a task", _result_fields(self._output))
        self._task_reader = Reader(self.task_schema)
        self._result_reader = Reader(self.result_schema)

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
        """Registers both subjects; raises what :meth:`SchemaStore.register` raises."""
        await store.register(self.task_subject, self.task_schema)
        await store.register(self.result_subject, self.result_schema)

    def encode_task(self, codec: Codec, task: TaskEnvelope[Any]) -> bytes:
        """The value of a task record."""
        datum = {
            "task_id": task.task_id,
            "root_id": _tagged("string", task.root_id),
            "content": _content(self._input, task.content, task.sealed, empty=self._input.nullable),
            "content_key_id": _tagged("string", task.content_key_id),
        }
        return codec.encode_value(self.task_subject, datum)

    def decode_task(self, codec: Codec, value: bytes) -> TaskEnvelope[Any]:
        """The task, its content validated."""
        datum = codec.decode_by(self._task_reader, value)
        content, sealed = _opened(self._input, datum["content"])
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
        datum = {
            "task_id": result.task_id,
            "root_id": result.root_id,
            "task_key": _tagged("string", result.task_key),
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
            "content": _content(self._output, result.content, result.sealed, empty=empty),
            "content_key_id": _tagged("string", result.content_key_id),
        }
        return codec.encode_value(self.result_subject, datum)

    def decode_result(self, codec: Codec, value: bytes) -> ResultEnvelope[Any]:
        """The result, its content validated."""
        datum = codec.decode_by(self._result_reader, value)
        error, reply = datum["error"], datum["reply"]
        datum["outcome"] = _OUTCOMES[datum["outcome"]]
        datum["error"] = None if error is None else _parts.failure.from_datum(error)
        datum["reply"] = None if reply is None else _parts.reply.from_datum(reply)
        datum["usage"] = _parts.usage.from_datum(datum["usage"])
        datum["content"], sealed = _opened(self._output, datum["content"])
        return ResultEnvelope(**datum, sealed=sealed)

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


def _tagged(tag: str, value: Any) -> tuple[str, Any] | None:
    return None if value is None else (tag, value)


def _content(derived: Derived, value: Any, sealed: bytes | None, *, empty: bool) -> Any:
    """The content's branch. ``empty``: None is a value of the type, not the absence of one."""
    if sealed is not None:
        if value is not None:
            raise MalformedValue("an envelope holds either plain or sealed content, not both")
        return "bytes", sealed
    if value is None and not empty:
        return None
    try:
        return derived.name, derived.to_datum(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise MalformedValue(f"the content is no {derived.name}: {error}") from error


def _opened(derived: Derived, content: Any) -> tuple[Any, bytes | None]:
    if content is None:
        return None, None
    return (None, content) if isinstance(content, bytes) else (derived.from_datum(content), None)


def _field(name: str, kind: Any, doc: str, **default: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": doc, **default}


def _content_fields(derived: Derived, words: str) -> list[dict[str, Any]]:
    sealed = "Identifier of the key that the content is sealed with; null when the content is plain."
    union = ["null", derived.schema, "bytes"]
    plain = f"{words}: a record when plain, bytes when sealed, null when there is none."
    return [
        _field("content", union, plain, default=None),
        _field("content_key_id", _NULLABLE, sealed, default=None),
    ]


def _task_fields(derived: Derived) -> list[dict[str, Any]]:
    return [
        _field("task_id", "string", "Identifier of the task, the same as in header ce_id."),
        _field("root_id", _NULLABLE, "Identifier of the task at the root of the tree; null at the root.", default=None),
        *_content_fields(derived, "The input"),
    ]


def _result_fields(derived: Derived) -> list[dict[str, Any]]:
    defined: set[str] = set()
    failure, reply = inline(["null", "aiosv3.StepFailure"], defined), inline(["null", "aiosv3.ReplyTo"], defined)
    return [
        _field("task_id", "string", "Identifier of the task."),
        _field("root_id", "string", "Identifier of the task at the root of the tree."),
        _field("task_key", _NULLABLE, "Key of the task: its customer, conversation or order.", default=None),
        _field("outcome", inline("aiosv3.Outcome", defined), "How the task ended."),
        _field("error", failure, "Why it failed; null when it did not.", default=None),
        _field("input_offset", "long", "Offset of the task in its topic."),
        _field("epoch", "long", "Offset of the ownership marker of the worker that finished it."),
        _field("request_hash", "string", "Hash of the task's content."),
        _field("reply", reply, "Where the result goes; null when nobody waits.", default=None),
        _field("journal_offset", "long", "Offset of the journal record that finished it; -1 for none.", default=-1),
        _field("started_at", _MILLIS, "Broker time of the task record."),
        _field("finished_at", _MILLIS, "Broker time of the journal record that finished it."),
        _field("code_version", "string", "Version of the agent's code."),
        _field("usage", inline("aiosv3.Usage", defined), "What its model calls consumed."),
        *_content_fields(derived, "The output"),
    ]
