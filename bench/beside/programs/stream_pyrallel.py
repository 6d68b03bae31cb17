"""The same work on pyrallel-consumer: its asyncio engine, ordered by key.

    python stream_pyrallel.py BOOTSTRAP INPUT OUTPUT CONCURRENCY

It consumes alone: the result goes out by a producer of confluent-kafka, and its worker returns when it is acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from confluent_kafka import Producer
from pyrallel_consumer import ExecutionConfig, KafkaConfig, ParallelConsumerConfig, PyrallelConsumer
from work import SESSION_MS, decoded, worked


async def main(bootstrap: str, source: str, sink: str, concurrency: str) -> None:
    loop = asyncio.get_running_loop()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0})

    async def work(item: Any) -> None:
        task = decoded(item.payload)
        value, acked = await worked(task), loop.create_future()

        def report(error: Any, _message: Any) -> None:
            loop.call_soon_threadsafe(acked.set_result if error is None else acked.set_exception, error)

        # It hands out no headers: the name of the task is sent again.
        producer.produce(sink, value, item.key, headers=[("ce_id", task["task_id"].encode())], on_delivery=report)
        await acked

    def deliver() -> None:
        while True:
            producer.poll(0.05)

    config = KafkaConfig(
        BOOTSTRAP_SERVERS=bootstrap,
        CONSUMER_GROUP=f"pyrallel-{sink}",
        SESSION_TIMEOUT_MS=SESSION_MS,
        dlq_enabled=False,
        parallel_consumer=ParallelConsumerConfig(
            execution=ExecutionConfig(max_in_flight=int(concurrency) or 1_000),
            queue_max_messages=max(5_000, 2 * int(concurrency)),
        ),
    )
    consumer = PyrallelConsumer(config=config, worker=work, topic=source)
    await consumer.start()
    print("ready", flush=True)
    await asyncio.to_thread(deliver)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
