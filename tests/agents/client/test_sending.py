"""Inputs as JSON, headers, and what is said to tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent
from aiosv3.agents.client.errors import InvalidInput
from aiosv3.agents.client.sending import (
    RawJson,
    TaskEvent,
    cancel_record,
    event_headers,
    given_headers,
    input_json,
    told_record,
)
from aiosv3.schemas.records import JournalKind
from aiosv3.schemas.topics import Topics

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Aliased(BaseModel):
    customer: str = Field(alias="customerName")


class WrittenOtherwise(BaseModel):
    seats: list[int] = Field(serialization_alias="places")


@dataclass
class Plain:
    at: datetime
    size: int = 1


@agent
async def aliased(_ctx: Context, value: Aliased) -> None:
    del value


@agent
async def otherwise(_ctx: Context, value: WrittenOtherwise) -> None:
    del value


@agent
async def plain(_ctx: Context, value: Plain) -> None:
    del value


@agent
async def number(_ctx: Context, value: int) -> None:
    del value


def test_events_are_cloud_events_and_the_senders_headers_win() -> None:
    event = TaskEvent("desk", "t1", "k", b"{}", [("ce_source", b"mine"), ("ce_tenant", b"acme")])
    assert event_headers(event, NOW) == [
        ("ce_id", b"t1"),
        ("ce_source", b"mine"),
        ("ce_type", b"aiosv3.task.desk"),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_time", b"2026-01-02T00:00:00+00:00"),
        ("ce_tenant", b"acme"),
    ]
    record = event.outgoing(Topics("x."), NOW)
    assert (record.topic, record.partition, record.key, record.value) == ("x.tasks.desk", None, b"k", b"{}")


@pytest.mark.parametrize(
    ("target", "value", "raw"),
    [
        (aliased, Aliased(customerName="ann"), {"customerName": "ann"}),
        (otherwise, WrittenOtherwise(seats=[1]), {"seats": [1]}),
        (plain, Plain(NOW), {"at": "2026-01-02T00:00:00Z", "size": 1}),
        (number, 3, 3),
        ("somebody", {"at": NOW, "plain": Plain(NOW)}, {"at": NOW, "plain": {"at": NOW, "size": 1}}),
        ("somebody", None, None),
    ],
)
def test_an_input_is_written_as_its_worker_reads_it(target: Any, value: Any, raw: Any) -> None:
    expected = json.loads(json.dumps(raw, default=lambda moment: "2026-01-02T00:00:00Z"))
    assert json.loads(input_json(target, value)) == expected


@pytest.mark.parametrize(
    ("target", "value", "words"),
    [
        (number, "three", "number takes int, and this is str"),
        (plain, {"at": "2026-01-02T00:00:00Z"}, "plain takes Plain, and this is dict"),
        (aliased, Plain(NOW), "this is no input of aliased: customerName: Field required"),
        ("somebody", object(), "object has no form in JSON"),
        ("somebody", {"a": {1, object()}}, "has no form in JSON"),
    ],
)
def test_what_is_no_input_is_said_before_anything_is_sent(target: Any, value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        input_json(target, value)


def test_what_is_json_already_is_sent_as_it_is() -> None:
    assert input_json("somebody", RawJson(b'{"a": 1.0, "a": 2}')) == b'{"a": 1.0, "a": 2}'
    assert input_json(number, RawJson(b'"for the worker to refuse"')) == b'"for the worker to refuse"'


def test_headers_that_parameters_set_are_refused() -> None:
    assert given_headers(None) == []
    assert given_headers({"ce_tenant": "acme"}) == [("ce_tenant", b"acme")]
    with pytest.raises(InvalidInput, match="header ce_id is set by id="):
        given_headers({"ce_id": "x"})


def test_records_for_a_journal() -> None:
    assert cancel_record("t").kind is JournalKind.CANCEL
    told = told_record("t", "note", {"a": NOW}, "m")
    assert (told.kind, told.message, told.message_id) == (JournalKind.SIGNAL, "note", "m")
    assert told.content == '{"a":"2026-01-02T00:00:00Z"}'
    assert told_record("t", "note", RawJson(b"1"), "m").content == "1"
    with pytest.raises(InvalidInput, match=r"does not begin with 'aiosv3\.'"):
        told_record("t", "aiosv3.retry", None, "m")
