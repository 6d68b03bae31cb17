"""Agent cards: what an agent is, on ``agents``, so that people and programs find it without its code."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

from aiosv3.agents import Agent
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import AgentCard
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Log, Outgoing
from aiosv3.streams.tenure import appended

CARD_TYPE: Final = b"aiosv3.agent-card"
_AGAIN_S: Final = 10.0
_LOG: Final = logging.getLogger(__name__)


def card_of(agent: Agent[Any, Any], schemas: AgentSchemas, topics: Topics, partitions: int, now: int) -> AgentCard:
    """The card of this version of ``agent``; ``now`` is in milliseconds since the epoch."""
    return AgentCard(
        agent=agent.name,
        version=agent.version,
        task_topic=topics.tasks(agent.name),
        result_topic=topics.results(agent.name),
        journal_topic=topics.journal(agent.name),
        partitions=partitions,
        input_schema=_text(schemas.input_json_schema),
        output_schema=_text(schemas.output_json_schema),
        clearance=agent.clearance.label,
        model=agent.model,
        pool=agent.pool,
        budget_usd_micros=agent.limits.usd_micros,
        description=agent.description,
        updated=now,
    )


def _text(schema: Any) -> str:
    return json.dumps(dict(schema), ensure_ascii=False, separators=(",", ":"))


async def publish_card(log: Log, codec: Codec, topics: Topics, card: AgentCard, again_s: float = _AGAIN_S) -> None:
    """Appends the card, key ``agent/version``. The agent works without it: a failure is logged and tried again."""
    key = f"{card.agent}/{card.version}"
    headers = event(CARD_TYPE, f"{key}/{card.updated}", key.encode(), AVRO, b"")
    while True:
        try:
            await appended(log, Outgoing(topics.agents(), 0, key.encode(), codec.encode(card), headers))
            return
        except AiosError as error:
            _LOG.warning("the card of agent %s is not published: %s", card.agent, error)
        await asyncio.sleep(again_s)
