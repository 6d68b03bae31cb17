"""Schemas, typed records, headers, topic names and the codec: the language that all parts of the mesh speak.

Names are imported from their modules when they are first used: whoever needs a header does not wait for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiosv3.schemas.codec import Codec, Decoded
    from aiosv3.schemas.compat import Problem, check_compatible, problems
    from aiosv3.schemas.deltas import Delta, DeltaKind
    from aiosv3.schemas.derive import Derived, UnsupportedType, derive
    from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope, TaskEnvelope
    from aiosv3.schemas.errors import (
        AiosError,
        IncompatibleSchema,
        MalformedHeader,
        MalformedValue,
        RegistryUnavailable,
        UnknownSchema,
        WireError,
    )
    from aiosv3.schemas.fingerprints import Schema
    from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
    from aiosv3.schemas.keys import KeyKind, KeyRecord
    from aiosv3.schemas.memory import MemoryAction, MemoryEvent, MemoryPosition, MemoryQuery, MemoryState
    from aiosv3.schemas.money import (
        LedgerClosed,
        LedgerEntry,
        LedgerHold,
        LedgerKind,
        LedgerLease,
        LedgerLoan,
        LedgerState,
        overruled_id,
        tree_budget,
        tree_of,
    )
    from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question, QuestionKind
    from aiosv3.schemas.records import (
        AgentCard,
        Answer,
        Candidate,
        Carry,
        CarryEntry,
        CarryHeader,
        CarryTimer,
        Completion,
        Decision,
        DecisionOutcome,
        JournalKind,
        JournalRecord,
        Message,
        ModelRequest,
        Outcome,
        PoolState,
        PoolStatus,
        Prompt,
        ReplyTo,
        Role,
        StepFailure,
        Usage,
        attempt_request_id,
        base_request_id,
    )
    from aiosv3.schemas.registry import Registered, RegistryAccess, RegistryClient, RegistryRefused
    from aiosv3.schemas.released import Release, load_lock, source_schema, write_lock
    from aiosv3.schemas.sealing import (
        BadSeal,
        ContentKeys,
        DataKey,
        KeyedHashes,
        KeyShredded,
        NoKey,
        Sealed,
        SealError,
        key_id_of,
        open_sealed,
        seal,
        seal_same,
    )
    from aiosv3.schemas.store import Registry, SchemaStore, UnregisteredSubject, UnresolvedSchema
    from aiosv3.schemas.tooling import ToolRequest, ToolResult
    from aiosv3.schemas.topics import BadName, TaskHandle, Topics

__all__ = [
    "AgentCard",
    "AgentSchemas",
    "AiosError",
    "Answer",
    "AnswerVerdict",
    "BadName",
    "BadSeal",
    "Candidate",
    "Carry",
    "CarryEntry",
    "CarryHeader",
    "CarryTimer",
    "Clearance",
    "Codec",
    "Completion",
    "ContentKeys",
    "DataKey",
    "Decision",
    "DecisionOutcome",
    "Decoded",
    "Delta",
    "DeltaKind",
    "Derived",
    "Grant",
    "IncompatibleSchema",
    "JournalKind",
    "JournalRecord",
    "KeyKind",
    "KeyRecord",
    "KeyShredded",
    "KeyedHashes",
    "LedgerClosed",
    "LedgerEntry",
    "LedgerHold",
    "LedgerKind",
    "LedgerLease",
    "LedgerLoan",
    "LedgerState",
    "MalformedHeader",
    "MalformedValue",
    "MemoryAction",
    "MemoryEvent",
    "MemoryPosition",
    "MemoryQuery",
    "MemoryState",
    "Message",
    "ModelRequest",
    "NoKey",
    "Outcome",
    "PersonAnswer",
    "PoolState",
    "PoolStatus",
    "Problem",
    "Prompt",
    "Question",
    "QuestionKind",
    "Registered",
    "Registry",
    "RegistryAccess",
    "RegistryClient",
    "RegistryRefused",
    "RegistryUnavailable",
    "Release",
    "Reply",
    "ReplyTo",
    "ResultEnvelope",
    "Role",
    "Route",
    "Schema",
    "SchemaStore",
    "SealError",
    "Sealed",
    "StepFailure",
    "TaskEnvelope",
    "TaskHandle",
    "ToolRequest",
    "ToolResult",
    "Topics",
    "UnknownSchema",
    "UnregisteredSubject",
    "UnresolvedSchema",
    "UnsupportedType",
    "Usage",
    "WireError",
    "attempt_request_id",
    "base_request_id",
    "check_compatible",
    "derive",
    "key_id_of",
    "load_lock",
    "open_sealed",
    "overruled_id",
    "problems",
    "seal",
    "seal_same",
    "source_schema",
    "tree_budget",
    "tree_of",
    "write_lock",
]

_MODULES: Final = {
    "codec": (
        "Codec",
        "Decoded",
    ),
    "compat": (
        "Problem",
        "check_compatible",
        "problems",
    ),
    "deltas": (
        "Delta",
        "DeltaKind",
    ),
    "derive": (
        "Derived",
        "UnsupportedType",
        "derive",
    ),
    "envelope": (
        "AgentSchemas",
        "ResultEnvelope",
        "TaskEnvelope",
    ),
    "errors": (
        "AiosError",
        "IncompatibleSchema",
        "MalformedHeader",
        "MalformedValue",
        "RegistryUnavailable",
        "UnknownSchema",
        "WireError",
    ),
    "fingerprints": ("Schema",),
    "headers": (
        "Clearance",
        "Grant",
        "Reply",
        "Route",
    ),
    "keys": (
        "KeyKind",
        "KeyRecord",
    ),
    "memory": (
        "MemoryAction",
        "MemoryEvent",
        "MemoryPosition",
        "MemoryQuery",
        "MemoryState",
    ),
    "money": (
        "LedgerClosed",
        "LedgerEntry",
        "LedgerHold",
        "LedgerKind",
        "LedgerLease",
        "LedgerLoan",
        "LedgerState",
        "overruled_id",
        "tree_budget",
        "tree_of",
    ),
    "people": (
        "AnswerVerdict",
        "PersonAnswer",
        "Question",
        "QuestionKind",
    ),
    "records": (
        "AgentCard",
        "Answer",
        "Candidate",
        "Carry",
        "CarryEntry",
        "CarryHeader",
        "CarryTimer",
        "Completion",
        "Decision",
        "DecisionOutcome",
        "JournalKind",
        "JournalRecord",
        "Message",
        "ModelRequest",
        "Outcome",
        "PoolState",
        "PoolStatus",
        "Prompt",
        "ReplyTo",
        "Role",
        "StepFailure",
        "Usage",
        "attempt_request_id",
        "base_request_id",
    ),
    "registry": (
        "Registered",
        "RegistryAccess",
        "RegistryClient",
        "RegistryRefused",
    ),
    "released": (
        "Release",
        "load_lock",
        "source_schema",
        "write_lock",
    ),
    "sealing": (
        "BadSeal",
        "ContentKeys",
        "DataKey",
        "KeyShredded",
        "KeyedHashes",
        "NoKey",
        "SealError",
        "Sealed",
        "key_id_of",
        "open_sealed",
        "seal",
        "seal_same",
    ),
    "store": (
        "Registry",
        "SchemaStore",
        "UnregisteredSubject",
        "UnresolvedSchema",
    ),
    "tooling": (
        "ToolRequest",
        "ToolResult",
    ),
    "topics": (
        "BadName",
        "TaskHandle",
        "Topics",
    ),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
