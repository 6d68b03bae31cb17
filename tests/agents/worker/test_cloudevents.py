"""Structured CloudEvents become binary ones, and whole workers take both for the same task."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.agents.opentasks import task_of
from aiosv3.agents.worker.admission import identify
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.schemas.errors import MalformedValue
from aiosv3.streams.log import Headers, Outgoing, Record

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

STRUCTURED = b"application/cloudevents+json; charset=UTF-8"
EVENT = {"specversion": "1.0", "id": "order-9", "source": "/shop", "type": "order", "data": "life"}


def record(document: Any, kind: bytes = STRUCTURED, more: Headers | None = None) -> Record:
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Record("t", 0, 0, 0, b"k", value, [("content-type", kind), *(more or [])])


def test_attributes_are_headers_and_data_is_the_value() -> None:
    given = {**EVENT, "tenant": "acme", "priority": 3, "flag": True, "nothing": None, "traceparent": "00-a-b-01"}
    found = unfolded(record(given, more=[("ce_tenant", b"other"), ("x", b"y")]))
    assert found.value == b'"life"'
    expected = {"id": b"order-9", "source": b"/shop", "tenant": b"acme", "priority": b"3", "flag": b"true"}
    assert {name: found.header(f"ce_{name}") for name in expected} == expected
    assert (found.header("content-type"), found.header("x")) == (b"application/json", b"y")
    assert (found.header("traceparent"), found.header("ce_nothing"), found.header("ce_data")) == (
        b"00-a-b-01",
        None,
        None,
    )


def test_data_may_be_bytes_and_may_be_missing() -> None:
    event = {**EVENT, "data_base64": base64.b64encode(b"\0\0\0\0\1x").decode(), "datacontenttype": "application/avro"}
    found = unfolded(record(event))
    assert (found.value, found.header("content-type")) == (b"\0\0\0\0\1x", b"application/avro")
    assert unfolded(record({name: EVENT[name] for name in EVENT if name != "data"})).value is None


@pytest.mark.parametrize("kind", [b"application/json", b"application/avro", b"", b"\xff"])
def test_any_other_record_is_left_alone(kind: bytes) -> None:
    given = record(EVENT, kind)
    assert unfolded(given) is given


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        ([], "must be a JSON object"),
        ({"id": "x"}, "with specversion"),
        ({**EVENT, "subject": {}}, "attribute subject"),
        ({**EVENT, "data_base64": "%"}, "is not Base64"),
    ],
)
def test_what_is_no_event_says_why(value: Any, words: str) -> None:
    with pytest.raises(MalformedValue, match=words):
        unfolded(record(value))


def test_a_task_in_structured_mode(stage: Stage) -> None:
    async def waits(ctx: Context, value: str) -> str:
        return f"{ctx.task_id} of {ctx.tenant}: {value} {await ctx.receive('note', str)}"

    worker = stage.worker(waits).start()
    event = {**EVENT, "tenant": "acme", "dataclassification": "restricted"}
    raw = json.dumps(event).encode()
    topic = stage.topics.tasks("worker")
    for _ in range(2):
        stage.broker.append(Outgoing(topic, 0, b"k", raw, [("content-type", STRUCTURED)]))
    stage.settle()
    assert list(worker.tenure.live) == ["order-9"], "two of one id are one task"
    assert worker.tenure.live["order-9"].run.clearance.label == "restricted"
    assert worker.tenure.live["order-9"].record.value == raw, "what is carried and buried is what was sent"


def test_a_replay_reads_it_alike(stage: Stage) -> None:
    async def echo(_ctx: Context, value: str) -> str:
        return value

    setup, given = stage.worker(echo).setup, record({**EVENT, "tenant": "acme"})
    task = task_of(given, identify(given, "worker"), setup)
    assert (task.id, task.value, task.grant.tenant) == ("order-9", "life", "acme")


def test_a_broken_one_gets_a_failed_result_and_a_dead_letter(stage: Stage) -> None:
    async def echo(_ctx: Context, value: str) -> str:
        return value

    worker = stage.worker(echo).start()
    stage.task("x", raw=b"{nothing", headers=[("content-type", STRUCTURED)])
    stage.settle()
    (result,) = stage.results(worker)
    assert (result.task_id, result.outcome.value) == ("x", "FAILED")
    assert "no CloudEvent" in result.error.message
    assert [letter.value for letter in stage.dead()] == [b"{nothing"]
