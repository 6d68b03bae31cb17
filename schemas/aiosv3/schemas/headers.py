"""Header names, and the three readable headers that travel with every record inside the mesh.

Wire headers are ``list[tuple[str, bytes]]``. :class:`Grant`, :class:`Route` and :class:`Reply` are compact
JSON, so that any Kafka UI shows them; each carries ``"v": 1``. Decoding ignores keys that it does not know,
refuses a later version, and is strict about types and ranges: a header that it accepts is safe to decide on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, TypeAlias

from aiosv3.schemas.headerfields import INT, VERSION, HeaderFields, encode

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
CE_DATAREGIONS: Final = "ce_dataregions"
"""Where the data may be worked on: regions with commas between, any of which will do."""
CE_DATATERMS: Final = "ce_dataterms"
"""What a provider must promise about the data, with commas between: ``no_training``, ``zero_retention``."""
CE_ROUTING: Final = "ce_routing"
"""A word for the routing policy: its rules can match it."""
CE_STREAM: Final = "ce_stream"
"""Partition of ``deltas`` (decimal) that somebody reads to see the task's tree at work; without it none are sent."""
CE_SUBJECT: Final = "ce_subject"
"""On tasks: whom or what the data are about; inside the mesh only its keyed hash travels. On ``deltas``: the task at
the root of the tree."""

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
    CE_DATAREGIONS,
    CE_DATATERMS,
    CE_COSTLIMITUSD,
    CE_COMPLEXITY,
    CE_LATENCYMS,
    CE_PRIORITY,
    CE_EXPIRYTIME,
    CE_AUTHID,
    CE_ROUTING,
    CE_STREAM,
    CE_SUBJECT,
    TRACEPARENT,
)
"""What a producer outside the mesh may set on a task (CloudEvents binary mode and plain extensions)."""

CONTENT_AVRO: Final = "application/avro"
CONTENT_JSON: Final = "application/json"
CONTENT_SEALED: Final = "application/vnd.aiosv3.sealed"
"""Of a task event whose value is a sealed body (``schemas.sealing``)."""
SPECVERSION: Final = "1.0"
CANCEL_TYPE: Final = "aiosv3.cancel"
"""``ce_type`` on ``prompts`` of the news that a tree was cancelled: none of its requests is routed any more."""
OWNER_TYPE: Final = "aiosv3.owner"
"""``ce_type`` of an ownership marker (a record with a null value)."""

AUTO: Final = "auto"
Complexity: TypeAlias = float | Literal["auto"]
"""How hard a request is: 0 (trivial) to 1, or ``"auto"``: whoever builds the prompt estimates it."""


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
    Absent on the wire where they are empty, too: ``regions``, any of which the data may be in (none: anywhere);
    ``terms`` that a provider must promise; the root task's agent (``workflow``), event ``type`` and ``label``;
    ``subject``: keyed hash of whom or what the data are about.
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
    regions: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    workflow: str | None = None
    type: str | None = None
    label: str | None = None
    subject: str | None = None

    def encode(self) -> bytes:
        """Compact JSON in the order of the specification."""
        fields: dict[str, object] = {
            "v": VERSION,
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
        for name in ("regions", "terms", "workflow", "type", "label", "subject"):
            if value := getattr(self, name):
                fields[name] = value
        return encode(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> Grant:
        """Raises :class:`MalformedHeader` that names the field and what stands there."""
        fields = HeaderFields(GRANT, value)
        return cls(
            fields.text("tenant"),
            fields.text("root"),
            fields.parsed("class", Clearance.parse, "a clearance"),
            fields.optional_integer("usd_micros"),
            fields.optional_integer("exp"),
            fields.integer("depth", 0, INT),
            fields.optional_text("sig"),
            fields.optional_text("by"),
            fields.optional_integer("cap"),
            fields.texts("regions", absent_is_empty=True),
            fields.texts("terms", absent_is_empty=True),
            fields.optional_text("workflow"),
            fields.optional_text("type"),
            fields.optional_text("label"),
            fields.optional_text("subject"),
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
    ``overflow``: a window of so many tokens was too small, whatever was estimated; None, and absent: none was.
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
    overflow: int | None = None

    def encode(self) -> bytes:
        """Compact JSON in the order of the specification."""
        fields: dict[str, object] = {
            "v": VERSION,
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
        if self.overflow is not None:
            fields["overflow"] = self.overflow
        return encode(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> Route:
        """Raises :class:`MalformedHeader` that names the field and what stands there."""
        fields = HeaderFields(ROUTE, value)
        return cls(
            fields.optional_text("agent"),
            fields.share_or_auto("complexity"),
            fields.integer("tokens"),
            fields.integer("max_tokens", 0, INT),
            fields.optional_text("prefix"),
            fields.optional_integer("latency_ms"),
            fields.integer("priority", -INT, INT),
            fields.integer("attempt", 1, INT),
            fields.integer("epoch", -1),
            fields.integer("first_sent"),
            fields.text("hash", empty=True),
            fields.texts("needs"),
            fields.optional_text("pool"),
            fields.optional_text("model"),
            fields.optional_integer("usd_micros"),
            fields.texts("tried"),
            fields.optional_integer("stream", INT),
            fields.texts("found", absent_is_empty=True),
            fields.optional_integer("overflow"),
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
        return encode(
            {
                "v": VERSION,
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
        fields = HeaderFields(REPLY, value)
        return cls(
            fields.text("topic"),
            fields.integer("partition", 0, INT),
            fields.integer("offset"),
            fields.text("task"),
            fields.text("step"),
            fields.text("token", empty=True),
        )
