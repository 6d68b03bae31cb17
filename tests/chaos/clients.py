"""Clients: one that sends tasks until the broker has each, one that reads results as they come."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from tests.chaos.checker import Place
from tests.chaos.history import History

POISON: Final = "poison-"
"""What the ids of records begin with that are bad on purpose."""
_KEYS: Final = 24
_AGAIN: Final = 0.03
"""How many events are sent twice, as clients do that never heard of the acknowledgement."""
_SHARE: Final = 0.25
"""How many go to the serial agent."""


class Sender(threading.Thread):
    """Sends ``rate`` tasks a second. What is not acknowledged is sent again under its id, as a client would."""

    def __init__(self, bootstrap: str, prefix: str, history: History, rng: random.Random, rate: float) -> None:
        super().__init__(daemon=True, name="sender")
        config = {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all", "log_level": 0}
        # Not idempotent: a client may send an event twice, and such a producer can end for good over a broker's disk.
        self._producer = Producer({**config, "delivery.timeout.ms": 20_000})
        self._prefix = prefix
        self._history = history
        self._rng = rng
        self._rate = rate
        self._ending = threading.Event()
        self.acked: dict[str, dict[str, Place]] = defaultdict(dict)
        self.slow: Callable[[random.Random], float] = lambda _rng: 0.0
        """How long the model of the next task takes."""
        self.sent = 0
        self._open = 0

    def run(self) -> None:
        began = time.monotonic()
        while not self._ending.is_set():
            while self.sent < (time.monotonic() - began) * self._rate:
                self._one()
            self._producer.poll(0.02)

    def _one(self) -> None:
        number, rng = self.sent, self._rng
        self.sent += 1
        agent = "queue" if rng.random() < _SHARE else "steps"
        key = f"key-{rng.randrange(_KEYS)}"
        value = {"number": number, "seconds": self.slow(rng)}
        for _ in range(1 + (rng.random() < _AGAIN)):
            self._send(agent, f"{agent}-{number}", key, value)

    def _send(self, agent: str, task_id: str, key: str, value: Mapping[str, float]) -> None:
        self._open += 1
        self._history.write("sent", agent=agent, id=task_id, key=key, value=value)

        def done(error: KafkaError | None, message: Message) -> None:
            self._open -= 1
            offset = message.offset()
            if error is None and offset is not None and offset >= 0:
                place = Place(message.partition() or 0, offset)
                self._history.write("acked", agent=agent, id=task_id, place=place)
                self.acked[agent].setdefault(task_id, place)
            else:
                why = "acknowledged, but not where" if error is None else error.str()
                self._history.write("unknown", agent=agent, id=task_id, why=why)
                self._send(agent, task_id, key, value)

        headers: list[tuple[str, str | bytes | None]] = [("ce_id", task_id.encode())]
        topic = f"{self._prefix}tasks.{agent}"
        self._producer.produce(
            topic, key=key.encode(), value=json.dumps(value).encode(), headers=headers, on_delivery=done
        )

    def rest(self) -> None:
        """Makes no new tasks."""
        self._ending.set()

    def finish(self, seconds: float) -> bool:
        """Makes no new tasks; True once the broker has all there are."""
        self.rest()
        self.join()
        deadline = time.monotonic() + seconds
        while self._open and time.monotonic() < deadline:
            self._producer.poll(0.1)
        return not self._open


class Watcher(threading.Thread):
    """Reads result topics as they grow. ``seen``: agent -> (id, place, raw value), in the order of its reading."""

    def __init__(self, bootstrap: str, prefix: str, agents: tuple[str, ...], partitions: int) -> None:
        super().__init__(daemon=True, name="watcher")
        config = {"bootstrap.servers": bootstrap, "group.id": "watcher", "enable.auto.commit": False, "log_level": 0}
        self._consumer = Consumer({**config, "fetch.wait.max.ms": 50})
        self._agents = {f"{prefix}results.{agent}": agent for agent in agents}
        places = [TopicPartition(topic, partition, 0) for topic in self._agents for partition in range(partitions)]
        self._consumer.assign(places)
        self._ending = threading.Event()
        self.seen: dict[str, list[tuple[str, Place, bytes]]] = defaultdict(list)
        self.first: dict[str, set[str]] = defaultdict(set)
        self.times: list[float] = []

    def run(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(500, timeout=0.2):
                if message.error() is None and message.value() is not None:
                    self._note(message)
        self._consumer.close()

    def _note(self, message: Message) -> None:
        agent = self._agents[message.topic() or ""]
        headers: Any = message.headers() or []
        task_id = next((value.decode() for name, value in headers if name == "ce_id"), POISON)
        if task_id.startswith(POISON):
            return
        place = Place(message.partition() or 0, message.offset() or 0)
        self.seen[agent].append((task_id, place, message.value() or b""))
        if task_id not in self.first[agent]:
            self.first[agent].add(task_id)
            self.times.append(time.monotonic())

    @property
    def count(self) -> int:
        """Tasks that have a result."""
        return sum(len(ids) for ids in self.first.values())

    def longest_gap(self) -> float:
        """Seconds between two results, at most."""
        return max((b - a for a, b in zip(self.times, self.times[1:], strict=False)), default=0.0)

    def close(self) -> None:
        """Reads no more."""
        self._ending.set()
        self.join()
