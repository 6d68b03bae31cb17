"""The yardstick: confluent-kafka by hand. Avro in, Avro out, nine headers, own-log acknowledgement, safe commits.

No keys in order, no restore, no ownership, no de-duplication, no agent: what a careful team writes in an afternoon.
"""

from __future__ import annotations

import io
import sys
import time
from functools import partial
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

BOOTSTRAP, SOURCE, SINK, COUNT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

TASK = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Task",
        "fields": [
            {"name": "task_id", "type": "string"},
            {"name": "root_id", "type": ["null", "string"]},
            {
                "name": "content",
                "type": [
                    "null",
                    {
                        "type": "record",
                        "name": "Ticket",
                        "fields": [
                            {"name": "id", "type": "string"},
                            {"name": "customer", "type": "string"},
                            {"name": "text", "type": "string"},
                            {"name": "priority", "type": "long"},
                            {"name": "amount", "type": "double"},
                        ],
                    },
                    "bytes",
                ],
            },
            {"name": "content_key_id", "type": ["null", "string"]},
        ],
    }
)
RESULT = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Result",
        "fields": [
            {"name": "task_id", "type": "string"},
            {"name": "label", "type": "string"},
            {"name": "note", "type": "string"},
            {"name": "priority", "type": "long"},
            {"name": "amount", "type": "double"},
        ],
    }
)


def main() -> None:
    consumer = Consumer(
        {"bootstrap.servers": BOOTSTRAP, "group.id": f"bare-{SINK}", "enable.auto.commit": False,
         "auto.offset.reset": "earliest"}
    )  # fmt: skip
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    consumer.assign([TopicPartition(SOURCE, 0, 0)])
    base, done, finished, last_commit = 0, set(), 0, time.monotonic()

    def acked(offset: int, _error: object, _message: object) -> None:
        nonlocal base, finished
        finished += 1
        done.add(offset)
        while base in done:
            done.discard(base)
            base += 1

    began = None
    while finished < COUNT:
        messages = consumer.consume(500, 0.0) or [m for m in [consumer.poll(0.02)] if m is not None]
        if began is None and messages:
            began = time.process_time()
        for message in messages:
            headers, offset = message.headers(), message.offset() or 0
            source = io.BytesIO(message.value() or b"")
            source.seek(5)
            task: Any = fastavro.schemaless_reader(source, TASK, None)
            ticket = task["content"]
            out = io.BytesIO(b"\0\0\0\0\7")
            out.seek(5)
            result = {"task_id": task["task_id"], "label": "x", "note": ticket["text"],
                      "priority": ticket["priority"], "amount": ticket["amount"]}  # fmt: skip
            fastavro.schemaless_writer(out, RESULT, result)
            while True:
                try:
                    report = partial(acked, offset)
                    producer.produce(SINK, out.getvalue(), message.key(), 0, headers=headers, on_delivery=report)
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        if time.monotonic() - last_commit > 1.0:
            last_commit = time.monotonic()
            consumer.commit(offsets=[TopicPartition(SOURCE, 0, base)], asynchronous=True)
    print((time.process_time() - (began or 0.0)) / COUNT * 1e6)
    consumer.close()


if __name__ == "__main__":
    main()
