"""Agent cards: what they say, and that an agent works without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from aiosv3.agents import Context, agent
from aiosv3.app.cards import card_of, publish_card
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.records import AgentCard
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.log import Appended, Outgoing

TOPICS = Topics("t.")


class Letter(BaseModel):
    text: str


@agent(clearance="confidential", budget="0.5", pool="small")
async def desk(_ctx: Context, letter: Letter) -> str:
    """Answers letters."""
    return letter.text


def card() -> AgentCard:
    schemas = AgentSchemas(desk.name, desk.input_type, desk.output_type, TOPICS)
    return card_of(desk, schemas, TOPICS, 6, 1_700_000_000_000)


class FailingFirst:
    """A log that refuses the first ``failures`` appends."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[Outgoing] = []

    def append(self, record: Outgoing, done: Callable[[Appended | AppendFailed], None]) -> None:
        if self.failures:
            self.failures -= 1
            done(AppendFailed("the broker is away"))
            return
        self.taken.append(record)
        done(Appended(0, 0, 0))


def test_a_card_names_topics_types_and_limits() -> None:
    found = card()
    assert (found.agent, found.version, found.partitions) == ("desk", desk.version, 6)
    assert (found.task_topic, found.result_topic) == ("t.tasks.desk", "t.results.desk")
    assert found.journal_topic == "t.journal.desk"
    assert (found.clearance, found.pool, found.budget_usd_micros) == ("confidential", "small", 500_000)
    assert found.description == "Answers letters."
    assert json.loads(found.input_schema)["properties"]["text"]["type"] == "string"
    assert json.loads(found.output_schema)["type"] == "string"


async def test_it_is_published_under_agent_and_version_again_until_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FailingFirst(2)
    codec = Codec(SchemaStore())
    async with asyncio.timeout(5):
        await publish_card(log, codec, TOPICS, card(), again_s=0)  # type: ignore[arg-type]
    (record,) = log.taken
    assert (record.topic, record.partition, record.key) == ("t.agents", 0, f"desk/{desk.version}".encode())
    assert record.value is not None
    assert codec.decode_as(AgentCard, record.value) == card()
    assert caplog.text.count("the card of agent desk is not published: the broker is away") == 2
