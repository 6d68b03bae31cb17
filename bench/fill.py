"""Fills a task topic with Avro tasks and nine headers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, noop
from confluent_kafka import Producer

from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import agent_topics
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.envelope import AgentSchemas, TaskEnvelope
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.streams.kafka import ensure_topics


async def fill(bootstrap: str, prefix: str, count: int) -> None:
    """``count`` tasks on partition 0 of ``tasks.noop``."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1),
        state=Path(mkdtemp(prefix="aiosv3-bench-")),
    )
    async with open_mesh(settings, "fill") as mesh:
        await ensure_topics(mesh.connection, agent_topics(settings, mesh.topics, "noop"))
        schemas = AgentSchemas("noop", noop.input_type, noop.output_type, mesh.topics)
        await schemas.register(mesh.store)
        producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000, "linger.ms": 5})
        for number in range(count):
            task_id = f"task-{number}"
            customer, text = f"c{number % 100}", "the card was charged twice"
            ticket = Ticket(id=task_id, customer=customer, text=text, priority=2, amount=9.5)
            headers: list[tuple[str, str | bytes | None]] = [
                ("ce_id", task_id.encode()),
                ("ce_source", b"bench"),
                ("ce_type", b"aiosv3.task"),
                ("ce_specversion", b"1.0"),
                ("content-type", b"application/avro"),
                ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ("aios-grant", Grant("default", task_id, Clearance.INTERNAL, 1_000_000, None, 1).encode()),
                ("aios-route", Route(None, 0.2, 10, 10, first_sent=1_750_000_000_000).encode()),
                ("x-ninth", b"1"),
            ]
            value = schemas.encode_task(mesh.codec, TaskEnvelope(task_id, ticket))
            producer.produce(mesh.topics.tasks("noop"), value, ticket.customer.encode(), 0, headers=headers)
            if number % 1_000 == 0:
                producer.poll(0)
        producer.flush(60)


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], sys.argv[2], int(sys.argv[3])))
