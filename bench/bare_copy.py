"""The yardstick of a step: a loop that copies records, on the settings that a processor's clients have. Prints JSON.

    python bench/bare_copy.py BOOTSTRAP SOURCE SINK COUNT WRITES

Headers, keys and acknowledgements as ours; offsets are committed once a second. ``WRITES`` 2: each record is written
twice, as a router writes its decision and the request. No order of finished work, no own log, no ownership.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial

from confluent_kafka import Consumer, Producer, TopicPartition

from aiosv3.streams.kafka import Connection, MemberSettings
from aiosv3.streams.kafka.appender import AppendSettings
from aiosv3.streams.kafka.connection import ClientWatch

BOOTSTRAP, SOURCE, SINK, COUNT, WRITES = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
BATCH = 500


def clients() -> tuple[Consumer, Producer]:
    """With the settings of a member and of a log."""
    connection = Connection(BOOTSTRAP, client_id="bench-bare")
    watch = ClientWatch(connection, "bench")
    consumer = Consumer(connection.config(watch, group_id=f"bare-{SINK}", **MemberSettings().config()))
    return consumer, Producer(connection.config(watch, **AppendSettings().config("none")))


def main() -> None:
    consumer, producer = clients()
    consumer.assign([TopicPartition(SOURCE, 0, 0)])
    base, acknowledged, finished, last_commit = 0, [0] * COUNT, 0, time.monotonic()

    def acked(offset: int, _error: object, _message: object) -> None:
        nonlocal base, finished
        acknowledged[offset] += 1
        if acknowledged[offset] == WRITES:
            finished += 1
            while base < COUNT and acknowledged[base] == WRITES:
                base += 1

    began, wall = 0.0, 0.0
    while finished < COUNT:
        first = consumer.poll(0.005)
        if not began and first is not None:
            began, wall = time.process_time(), time.perf_counter()
        for message in [] if first is None else [first, *consumer.consume(BATCH - 1, 0)]:
            for _ in range(WRITES):
                send(producer, message, partial(acked, message.offset() or 0))
        producer.poll(0)
        if time.monotonic() - last_commit > 1.0:
            last_commit = time.monotonic()
            consumer.commit(offsets=[TopicPartition(SOURCE, 0, base)], asynchronous=True)
    used, took = time.process_time() - began, time.perf_counter() - wall
    print(json.dumps({"cpu_us": used / COUNT * 1e6, "records_s": COUNT / took}))
    consumer.close()


def send(producer: Producer, message: object, done: object) -> None:
    """Once there is room."""
    while True:
        try:
            value, key, headers = message.value(), message.key(), message.headers()  # type: ignore[attr-defined]
            producer.produce(SINK, value, key, 0, headers=headers, on_delivery=done)  # type: ignore[arg-type]
            return
        except BufferError:
            producer.poll(0.01)


if __name__ == "__main__":
    main()
