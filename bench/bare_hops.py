"""Three bare Kafka hops through two processes' worth of work: prints latencies in milliseconds, one a line.

    python bench/bare_hops.py BOOTSTRAP PREFIX COUNT [PAUSE_MS]

``PAUSE_MS``: between a record and the next. Without one, nothing on the way has time to fall asleep.
"""

from __future__ import annotations

import sys
import threading
import time
from itertools import pairwise

from confluent_kafka import Consumer, Producer, TopicPartition

BOOTSTRAP, PREFIX, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
PAUSE_S = float(sys.argv[4]) / 1_000 if len(sys.argv) > 4 else 0.0


def consumer_of(topic: str) -> Consumer:
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "hops", "fetch.wait.max.ms": 100})
    consumer.assign([TopicPartition(topic, 0, 0)])
    return consumer


def forward(source: str, sink: str, stop: threading.Event) -> None:
    consumer = consumer_of(source)
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "linger.ms": 0})
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            producer.produce(sink, message.value(), partition=0)
            producer.poll(0)
    consumer.close()


def main() -> None:
    stop = threading.Event()
    names = [f"{PREFIX}hop{number}" for number in range(3)]
    for source, sink in pairwise(names):
        threading.Thread(target=forward, args=(source, sink, stop), daemon=True).start()
    last = consumer_of(names[-1])
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "linger.ms": 0})
    for number in range(COUNT):
        began = time.perf_counter()
        producer.produce(names[0], str(number).encode(), partition=0)
        producer.poll(0)
        while (message := last.poll(1.0)) is None or message.error() is not None:
            pass
        print((time.perf_counter() - began) * 1_000)
        time.sleep(PAUSE_S)
    stop.set()


if __name__ == "__main__":
    main()
