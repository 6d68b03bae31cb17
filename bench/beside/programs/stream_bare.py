"""A loop over confluent-kafka by hand: one task after the other, results acknowledged before offsets are committed.

    python stream_bare.py BOOTSTRAP INPUT OUTPUT CONCURRENCY

What a careful team writes in an afternoon; ``CONCURRENCY`` is not looked at.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from work import INSTANCE, SESSION_MS, decoded, encoded, seen


class Loop:
    """Where it is: ``base`` is the lowest offset whose result is not acknowledged."""

    def __init__(self, bootstrap: str, source: str, sink: str) -> None:
        self.source, self.sink = source, sink
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": f"bare-{sink}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_MS,
            **({"group.instance.id": INSTANCE} if INSTANCE else {}),
        }
        self.consumer = Consumer(settings)
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0}
        )
        self.consumer.subscribe([source], on_assign=lambda *_: print("ready", flush=True))
        self.done: set[int] = set()
        self.base, self.committed, self.last = -1, -1, time.monotonic()

    def acked(self, offset: int, error: object, _message: object) -> None:
        if error is None:
            self.done.add(offset)

    def commit(self) -> None:
        while self.base in self.done:
            self.done.discard(self.base)
            self.base += 1
        if self.base > self.committed and time.monotonic() - self.last > 1.0:
            self.last, self.committed = time.monotonic(), self.base
            self.consumer.commit(offsets=[TopicPartition(self.source, 0, self.base)], asynchronous=True)

    def work(self, message: Any) -> None:
        offset, task = message.offset(), decoded(message.value())
        self.base = offset if self.base < 0 else self.base
        seen("b", task["task_id"])
        if (seconds := task["content"]["amount"]) > 0:
            time.sleep(seconds)
        seen("e", task["task_id"])
        value, report = encoded(task), partial(self.acked, offset)
        while True:
            try:
                self.producer.produce(self.sink, value, message.key(), headers=message.headers(), on_delivery=report)
                break
            except BufferError:
                self.producer.poll(0.01)

    def run(self) -> None:
        while True:
            for message in self.consumer.consume(500, 0.0) or [m for m in [self.consumer.poll(0.02)] if m is not None]:
                if message.error() is None:
                    self.work(message)
                    self.producer.poll(0)
                    self.commit()
            self.producer.poll(0)
            self.commit()


if __name__ == "__main__":
    Loop(*sys.argv[1:4]).run()
