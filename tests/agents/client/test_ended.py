"""Results as typed values, plain data, or errors; and those that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aiosv3.agents import AgentFailed, Context, SubjectForgotten, TreeCancelled, agent
from aiosv3.agents.client.ended import Ends
from aiosv3.agents.client.errors import ResultUnreadable
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.errors import UnknownSchema
from aiosv3.schemas.records import Outcome, StepFailure, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.log import Record

PLACE = TaskHandle("counter", 1, "t")


@agent
async def counter(_ctx: Context, value: str) -> int:
    return len(value)


@agent(name="counter")
async def changed(_ctx: Context, value: str) -> list[str]:
    return [value]


async def result(codec: Codec, **fields: Any) -> Record:
    schemas = AgentSchemas("counter", str, int)
    await schemas.register(codec.store)
    settings: dict[str, Any] = {"outcome": Outcome.OK, "content": 3, **fields}
    envelope: ResultEnvelope[Any] = ResultEnvelope(
        "t", "t", input_offset=0, epoch=0, request_hash="", started_at=1_000, finished_at=3_000, code_version="v",
        **settings,
    )  # fmt: skip
    return Record("aios.results.counter", 1, 7, 3_500, b"t", schemas.encode_result(codec, envelope), [])


async def read(office: Any, record: Record, by: Any = counter) -> Any:
    ends: Ends[Any] = Ends(office.link(), by)
    await ends.prepare()
    return await ends.read(PLACE, record)


async def test_a_value_with_what_it_cost(office: Any) -> None:
    record = await result(office.codec, usage=Usage(2, 10, 5, 0, 1_500))
    ended = await read(office, record)
    assert (ended.value(), ended.cost_usd, ended.latency_ms) == (3, 0.0015, 2_500)
    assert (ended.started_at.timestamp(), ended.finished_at.timestamp()) == (1.0, 3.0)
    assert (ended.fields["output"], ended.fields["task"], ended.fields["code_version"]) == (3, "counter:1:t", "v")
    assert (await read(office, record, "counter")).value() == 3


async def test_who_was_forgotten_is_the_reason(office: Any) -> None:
    failure = StepFailure("SubjectForgotten", "the words of the worker", retryable=False)
    record = await result(office.codec, outcome=Outcome.CANCELLED, content=None, error=failure)
    with pytest.raises(SubjectForgotten, match="counter:1:t was cancelled: its subject was forgotten") as caught:
        (await read(office, record)).value()
    assert isinstance(caught.value, TreeCancelled)


async def test_errors_say_where_they_are(office: Any) -> None:
    cancelled = await read(office, await result(office.codec, outcome=Outcome.CANCELLED, content=None))
    with pytest.raises(TreeCancelled, match="counter:1:t was cancelled") as caught:
        cancelled.value()
    assert (caught.value.topic, caught.value.offset) == ("aios.results.counter", 7)
    failure = StepFailure("Strange", "odd", retryable=True, step="3")
    failed = await read(office, await result(office.codec, outcome=Outcome.FAILED, content=None, error=failure))
    assert (type(failed.error), failed.error.message, failed.error.step) == (AgentFailed, "Strange: odd", "3")
    silent = await read(office, await result(office.codec, outcome=Outcome.FAILED, content=None))
    assert silent.error.message == "failed without saying why"


async def test_what_cannot_be_read_is_said(office: Any) -> None:
    record = await result(office.codec)
    with pytest.raises(ResultUnreadable, match="the result of counter:1:t cannot be read"):
        await read(office, record, changed)
    sealed = await result(office.codec, content=None, sealed=b"x", content_key_id="key-1")
    with pytest.raises(ResultUnreadable, match="is sealed with key key-1"):
        await read(office, sealed)
    with pytest.raises(ResultUnreadable):
        await read(office, record._replace(value=b"{}"))


async def test_without_a_registry_the_agents_code_is_enough_and_its_name_is_not(office: Any) -> None:
    """Schemas get their numbers from what they say, here as at the worker."""
    record = await result(Codec(SchemaStore()))
    lone = replace(office.link(), codec=Codec(SchemaStore()), lone=True)
    by_type: Ends[int] = Ends(lone, counter)
    await by_type.prepare()
    assert (await by_type.read(PLACE, record)).value() == 3
    lone = replace(office.link(), codec=Codec(SchemaStore()), lone=True)
    with pytest.raises(UnknownSchema, match="no registry is configured"):
        await Ends(lone, "counter").read(PLACE, record)
