"""Header names, and the three readable headers that travel with every record inside the mesh.

Wire headers are ``list[tuple[str, bytes]]``. :class:`Grant`, :class:`Route` and :class:`Reply` are compact
JSON, so that any Kafka UI shows them; each carries ``"v": 1``. Decoding ignores keys that it does not know,
refuses a later version, and is strict about types and ranges: a header that it accepts is safe to decide on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal, TypeAlias

from aiosv3.schemas.errors import MalformedHeader

CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_SPECVERSION: Final = "ce_specversion"
CONTENT_TYPE: Final = "content-type"
TRACEPARENT: Final = "traceparent"
GRANT: Final = "aios-grant"
ROUTE: Final = "aios-route"
REPLY: Final = "aios-reply"

CE_TIME: Final = "ce_time"
CE_TENANT: Final = "ce_tenant"
CE_DATACLASSIFICATION: Final = "ce_dataclassification"
CE_COSTLIMITUSD: Final = "ce_costlimitusd"
CE_COMPLEXITY: Final = "ce_complexity"
CE_LATENCYMS: Final = "ce_latencyms"
CE_PRIORITY: Final = "ce_priority"
CE_EXPIRYTIME: Final = "ce_expirytime"
CE_AUTHID: Final = "ce_authid"
"""Who is behind the event (CloudEvents auth context extension)."""
CE_STREAM: Final = "ce_stream"
"""Partition of ``deltas`` (decimal) that somebody reads to see the task's tree at work; without it none are sent."""
CE_SUBJECT: Final = "ce_subject"
"""On ``deltas``: the task at the root of the tree."""

MESH_HEADERS: Final = (
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_SPECVERSION,
    CONTENT_TYPE,
    TRACEPARENT,
    GRANT,
    ROUTE,
    REPLY,
)
"""Inside the mesh: these, in this order. ``aios-reply`` is absent where nobody waits."""

TASK_HEADERS: Final = (
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_SPECVERSION,
    CONTENT_TYPE,
    CE_TIME,
    CE_TENANT,
    CE_DATACLASSIFICATION,
    CE_COSTLIMITUSD,
    CE_COMPLEXITY,
    CE_LATENCYMS,
    CE_PRIORITY,
    CE_EXPIRYTIME,
    CE_AUTHID,
    CE_STREAM,
    TRACEPARENT,
)
"""What a producer outside the mesh may set on a task (CloudEvents binary mode and plain extensions)."""

CONTENT_AVRO: Final = "application/avro"
CONTENT_JSON: Final = "application/json"
SPECVERSION: Final = "1.0"
CANCEL_TYPE: Final = "aiosv3.cancel"
"""``ce_type`` on ``prompts`` of the news that a tree was cancelled: none of its requests is routed any more."""
OWNER_TYPE: Final = "aiosv3.owner"
"""``ce_type`` of an ownership marker (a record with a null value)."""

AUTO: Final = "auto"
Complexity: TypeAlias = float | Literal["auto"]
"""How hard a request is: 0 (trivial) to 1, or ``"auto"``: whoever builds the prompt estimates it."""

_VERSION: Final = 1
_INT: Final = 2**31 - 1
_LONG: Final = 2**63 - 1
_SHOWN: Final = 80
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().decode
_absent: Final = object()


class Clearance(IntEnum):
    """How secret data is. Compare with ``<`` and combine with ``max``: on its way a class may only rise."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @property
    def label(self) -> str:
        """The word used in headers, records and settings."""
        return _LABELS[self]

    @classmethod
    def parse(cls, text: str) -> Clearance:
        """The class named by ``text`` (lower case). Raises ValueError that names the four words."""
        try:
            return _BY_LABEL[text]
        except KeyError:
            raise ValueError(f"{text!r} is no clearance: use one of {', '.join(_BY_LABEL)}") from None


_LABELS = tuple(member.name.lower() for member in Clearance)
_BY_LABEL = {member.name.lower(): member for member in Clearance}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a task tree may do: whose it is, how secret, how much money, until when, how deep.

    ``usd_micros``: money for the whole tree in millionths of a US dollar, None without a limit. ``exp``: end
    of life in milliseconds since the epoch, None for no end. ``depth``: agents above this task. ``sig``: room
    for a signature. ``by``: who started the tree, None where nobody said. ``cap``: what the whole tree may spend, the
    same in all of its requests, while ``usd_micros`` shrinks on the way; None, and absent on the wire: no limit.
    """

    tenant: str
    root: str
    clearance: Clearance
    usd_micros: int | None = None
    exp: int | None = None
    depth: int = 0
    sig: str | None = None
    by: str | None = None
    cap: int | None = None

    def encode(self) -> bytes:
        """Compact JSON in the order of the specification."""
        fields: dict[str, object] = {
            "v": _VERSION,
            "tenant": self.tenant,
            "root": self.root,
            "class": self.clearance.label,
            "usd_micros": self.usd_micros,
            "exp": self.exp,
            "depth": self.depth,
            "sig": self.sig,
            "by": self.by,
        }
        if self.cap is not None:
            fields["cap"] = self.cap
        return _encode(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> Grant:
        """Raises :class:`MalformedHeader` that names the field and what stands there."""
        fields = _Fields(GRANT, value)
        return cls(
            fields.text("tenant"),
            fields.text("root"),
            fields.clearance("class"),
            fields.optional_integer("usd_micros"),
            fields.optional_integer("exp"),
            fields.integer("depth", 0, _INT),
            fields.optional_text("sig"),
            fields.optional_text("by"),
            fields.optional_integer("cap"),
        )


@dataclass(frozen=True, slots=True)
class Route:
    """What the router decides on. It never sees the prompt.

    ``tokens`` is the estimated input, ``max_tokens`` the most that may be generated. ``priority``: lower is
    sooner. ``attempt`` counts from 1. ``epoch`` is the sender's. ``first_sent`` is the broker time (ms) of
    the record that made this step reachable, the same after every restart. ``hash`` is the request hash.
    ``needs``: capabilities such as ``json``, ``tools``, ``vision``. ``pool`` and ``model`` pin.
    ``usd_micros`` limits this call alone. ``tried`` names the pools of earlier attempts. ``stream``: the partition of
    ``deltas`` where somebody follows the answer; None, and absent on the wire: nobody does. ``found``: kinds of what
    the sender's scan found in the text, for which it raised the class; absent on the wire when nothing was.
    """

    agent: str | None
    complexity: Complexity
    tokens: int
    max_tokens: int
    prefix: str | None = None
    latency_ms: int | None = None
    priority: int = 0
    attempt: int = 1
    epoch: int = 0
    first_sent: int = 0
    hash: str = ""
    needs: tuple[str, ...] = ()
    pool: str | None = None
    model: str | None = None
    usd_micros: int | None = None
    tried: tuple[str, ...] = ()
    stream: int | None = None
    found: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Compact JSON in the order of the specification."""
        fields: dict[str, object] = {
            "v": _VERSION,
            "agent": self.agent,
            "complexity": self.complexity,
            "tokens": self.tokens,
            "max_tokens": self.max_tokens,
            "prefix": self.prefix,
            "latency_ms": self.latency_ms,
            "priority": self.priority,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "first_sent": self.first_sent,
            "hash": self.hash,
            "needs": self.needs,
            "pool": self.pool,
            "model": self.model,
            "usd_micros": self.usd_micros,
            "tried": self.tried,
        }
        if self.stream is not None:
            fields["stream"] = self.stream
        if self.found:
            fields["found"] = self.found
        return _encode(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> Route:
        """Raises :class:`MalformedHeader` that names the field and what stands there."""
        fields = _Fields(ROUTE, value)
        return cls(
            fields.optional_text("agent"),
            fields.complexity("complexity"),
            fields.integer("tokens"),
            fields.integer("max_tokens", 0, _INT),
            fields.optional_text("prefix"),
            fields.optional_integer("latency_ms"),
            fields.integer("priority", -_INT, _INT),
            fields.integer("attempt", 1, _INT),
            fields.integer("epoch", -1),
            fields.integer("first_sent"),
            fields.text("hash", empty=True),
            fields.texts("needs"),
            fields.optional_text("pool"),
            fields.optional_text("model"),
            fields.optional_integer("usd_micros"),
            fields.texts("tried"),
            fields.optional_integer("stream", _INT),
            fields.texts("found", absent_is_empty=True),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """Where the answer goes.

    A journal partition, the waiting task (offset and id), its step, and the token to echo.
    """

    topic: str
    partition: int
    offset: int
    task: str
    step: str
    token: str

    def encode(self) -> bytes:
        """Compact JSON in the order of the specification."""
        return _encode(
            {
                "v": _VERSION,
                "topic": self.topic,
                "partition": self.partition,
                "offset": self.offset,
                "task": self.task,
                "step": self.step,
                "token": self.token,
            }
        ).encode()

    @classmethod
    def decode(cls, value: bytes) -> Reply:
        """Raises :class:`MalformedHeader` that names the field and what stands there."""
        fields = _Fields(REPLY, value)
        return cls(
            fields.text("topic"),
            fields.integer("partition", 0, _INT),
            fields.integer("offset"),
            fields.text("task"),
            fields.text("step"),
            fields.text("token", empty=True),
        )


class _Fields:
    """A decoded header, read field by field.

    A nullable field that is absent is null; any other must be there.
    """

    __slots__ = ("_fields", "_header")

    def __init__(self, header: str, value: bytes) -> None:
        self._header = header
        try:
            text = value.decode()
            fields = _decode(text)
            if "\\u" in text:
                _encode(fields).encode()
        except (ValueError, RecursionError) as error:
            raise MalformedHeader(f"{header} is not UTF-8 JSON ({error}): {_shown(value)}") from error
        if type(fields) is not dict:
            raise MalformedHeader(f"{header} is not a JSON object: {_shown(value)}")
        self._fields: dict[str, Any] = fields
        version = fields.get("v", _absent)
        if type(version) is not int or version < 1:
            raise self._error("v", version, f"must be {_VERSION}")
        if version > _VERSION:
            raise self._error("v", version, f"is newer than the version {_VERSION} that this release reads: upgrade it")

    def text(self, name: str, *, empty: bool = False) -> str:
        value = self._fields.get(name, _absent)
        if type(value) is str and (value or empty):
            return value
        raise self._error(name, value, "must be a string" if empty else "must be a string that is not empty")

    def optional_text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is None or type(value) is str:
            return value
        raise self._error(name, value, "must be a string or null")

    def integer(self, name: str, least: int = 0, most: int = _LONG) -> int:
        value = self._fields.get(name, _absent)
        if type(value) is int and least <= value <= most:
            return value
        raise self._error(name, value, f"must be a whole number from {least} to {most}")

    def optional_integer(self, name: str, most: int = _LONG) -> int | None:
        value = self._fields.get(name)
        if value is None or (type(value) is int and 0 <= value <= most):
            return value
        raise self._error(name, value, f"must be null or a whole number from 0 to {most}")

    def texts(self, name: str, *, absent_is_empty: bool = False) -> tuple[str, ...]:
        value = self._fields.get(name, [] if absent_is_empty else _absent)
        if type(value) is list and all(type(item) is str for item in value):
            return tuple(value)
        raise self._error(name, value, "must be a list of strings")

    def complexity(self, name: str) -> Complexity:
        value = self._fields.get(name, _absent)
        if value == AUTO:
            return AUTO
        if (type(value) is float or type(value) is int) and 0 <= value <= 1:
            return float(value)
        raise self._error(name, value, 'must be "auto" or a number from 0 to 1')

    def clearance(self, name: str) -> Clearance:
        value = self._fields.get(name, _absent)
        if type(value) is str:
            try:
                return Clearance.parse(value)
            except ValueError as error:
                raise self._error(name, value, str(error)) from error
        raise self._error(name, value, "must be a clearance, as text")

    def _error(self, name: str, value: object, rule: str) -> MalformedHeader:
        found = "it is absent" if value is _absent else f"it is {_shown(value)}"
        return MalformedHeader(f"{self._header}: {name} {rule}; {found}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
