"""The way back: headers of every mesh record, and the journal record that answers a step."""

from __future__ import annotations

import pytest

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import MESH_HEADERS, Reply
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, ReplyTo, StepFailure, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.answers import AVRO, JSON, answer_record, event, journal_outgoing, reply_to

REPLY = Reply("journal.triage", 3, 77, "T-1", "0/ask", "token")


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


def test_an_event_begins_with_the_six_headers_in_their_order() -> None:
    headers = event(b"aiosv3.answer", "R-1", b"tasks/0/5", AVRO, b"00-trace")
    assert [name for name, _ in headers] == list(MESH_HEADERS[:6])
    assert [value for _, value in headers] == [
        b"R-1",
        b"tasks/0/5",
        b"aiosv3.answer",
        b"1.0",
        b"application/avro",
        b"00-trace",
    ]
    assert JSON == b"application/json"


def test_a_reply_header_becomes_the_record_that_own_logs_keep() -> None:
    assert reply_to(REPLY) == ReplyTo("journal.triage", 3, 77, "T-1", "0/ask", "token")
    assert reply_to(None) is None


def test_an_answer_carries_the_address_and_the_token_back() -> None:
    reply = reply_to(REPLY)
    assert reply is not None
    failure = StepFailure("Rejected", "never", retryable=False)
    record = answer_record(reply, "hash", Outcome.FAILED, None, error=failure, usage=Usage(model_calls=1))
    assert record == JournalRecord(
        task_id="T-1",
        task_offset=77,
        step_id="0/ask",
        request_hash="hash",
        kind=JournalKind.ANSWER,
        outcome=Outcome.FAILED,
        error=failure,
        token="token",
        usage=Usage(model_calls=1),
        content=None,
    )
    assert answer_record(reply, "hash", Outcome.OK, '"yes"').content == '"yes"'


def test_a_journal_record_goes_to_the_partition_of_its_task(codec: Codec) -> None:
    reply = reply_to(REPLY)
    assert reply is not None
    record = answer_record(reply, "hash", Outcome.OK, '"yes"')
    outgoing = journal_outgoing(codec, reply.topic, reply.partition, record, b"completions.small/3/9")
    assert (outgoing.topic, outgoing.partition, outgoing.key) == ("journal.triage", 3, b"T-1")
    assert outgoing.value is not None
    assert codec.decode_as(JournalRecord, outgoing.value) == record
    assert outgoing.headers == event(b"aiosv3.journal", "T-1/0/ask", b"completions.small/3/9", AVRO, b"")


def test_a_record_without_a_step_is_named_by_its_kind(codec: Codec) -> None:
    record = JournalRecord(
        task_id="T-1", task_offset=5, step_id=None, request_hash=None, kind=JournalKind.CANCEL, outcome=Outcome.OK
    )
    outgoing = journal_outgoing(codec, "journal.triage", 0, record, b"cli", kind=b"aiosv3.cancel")
    assert outgoing.headers == event(b"aiosv3.cancel", "T-1/cancel", b"cli", AVRO, b"")
