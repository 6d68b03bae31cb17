"""The same work on FastStream over confluent-kafka: a subscriber with a decoder, and a publisher.

    python stream_faststream.py BOOTSTRAP INPUT OUTPUT CONCURRENCY

Concurrency is the subscriber's ``max_workers``, which it allows with acknowledgement first alone; with one worker it
acknowledges after the work (``AckPolicy.NACK_ON_ERROR``), as its guide advises for work that must not be lost.
"""

import asyncio
import logging
import sys
from typing import Any

from faststream import AckPolicy
from faststream.confluent import KafkaBroker
from faststream.confluent.annotations import KafkaMessage
from work import INSTANCE, SESSION_MS, decoded, worked


async def decode(message: Any) -> Any:
    """A decoder of its own, as the guide has it for Avro."""
    return decoded(message.body)


async def main(bootstrap: str, source: str, sink: str, concurrency: str) -> None:
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.ERROR)
    broker = KafkaBroker(
        bootstrap,
        acks="all",
        enable_idempotence=True,
        logger=quiet,
        config={"session.timeout.ms": SESSION_MS},
    )
    publisher = broker.publisher(sink)
    count = max(1, int(concurrency))
    policy: dict[str, Any] = (
        {"ack_policy": AckPolicy.ACK_FIRST} if count > 1 else {"ack_policy": AckPolicy.NACK_ON_ERROR}
    )

    @broker.subscriber(
        source,
        group_id=f"faststream-{sink}",
        group_instance_id=INSTANCE or None,
        auto_offset_reset="earliest",
        decoder=decode,
        max_workers=count,
        **policy,
    )
    async def work(task: Any, message: KafkaMessage) -> None:
        raw = message.raw_message
        headers = {name: value.decode() for name, value in raw.headers() or ()}
        await publisher.publish(await worked(task), key=raw.key(), headers=headers, no_confirm=count > 1)

    await broker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
