"""Answers and their way back: records for the asker's journal, and the headers that every mesh record starts with."""

from __future__ import annotations

from typing import Final

from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Reply
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, ReplyTo, StepFailure, Usage
from aiosv3.streams.log import Headers, Outgoing

AVRO: Final = names.CONTENT_AVRO.encode()
JSON: Final = names.CONTENT_JSON.encode()
SEALED: Final = names.CONTENT_SEALED.encode()
JOURNAL_TYPE: Final = b"aiosv3.journal"
_SPEC: Final = names.SPECVERSION.encode()


def event(kind: bytes, record_id: str, source: bytes, content_type: bytes, traceparent: bytes) -> Headers:
    """The first six of the nine headers: the CloudEvents part."""
    return [
        (names.CE_ID, record_id.encode()),
        (names.CE_SOURCE, source),
        (names.CE_TYPE, kind),
        (names.CE_SPECVERSION, _SPEC),
        (names.CONTENT_TYPE, content_type),
        (names.TRACEPARENT, traceparent),
    ]


def reply_to(reply: Reply | None) -> ReplyTo | None:
    """The reply header as the record that own logs keep, so that an answer can be forwarded without its input."""
    if reply is None:
        return None
    return ReplyTo(reply.topic, reply.partition, reply.offset, reply.task, reply.step, reply.token)


def answer_record(
    reply: ReplyTo,
    hashed: str,
    outcome: Outcome,
    content: str | bytes | None,
    *,
    error: StepFailure | None = None,
    usage: Usage | None = None,
    claim: str | None = None,
    key_id: str | None = None,
) -> JournalRecord:
    """The journal record that answers the step of ``reply``, with its token.

    ``claim``: the store has the content. ``key_id``: it is sealed, and is handed on as it is.
    """
    return JournalRecord(
        task_id=reply.task,
        task_offset=reply.offset,
        step_id=reply.step,
        request_hash=hashed,
        kind=JournalKind.ANSWER,
        outcome=outcome,
        error=error,
        token=reply.token,
        usage=usage,
        content=content,
        content_key_id=key_id,
        claim=claim,
    )


def journal_outgoing(
    codec: Codec, topic: str, partition: int, record: JournalRecord, source: bytes, kind: bytes = JOURNAL_TYPE
) -> Outgoing:
    """``record`` as an append to a journal partition; ``source`` names the record that it comes from."""
    step = record.step_id or record.kind.value.lower()
    headers = event(kind, f"{record.task_id}/{step}", source, AVRO, b"")
    return Outgoing(topic, partition, record.task_id.encode(), codec.encode(record), headers)
