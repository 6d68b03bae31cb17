"""Rebalances: members that join groups only to leave them again, and workers that come and go."""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from confluent_kafka import Consumer, KafkaException
from tests.chaos.stage import Stage
from tests.chaos.workers import EVERYBODY, GROUPS

_EVERY_S: Final = 2.0
_SHARE: Final = 0.1
"""Of the tasks: those whose model takes long."""


class _Guest(threading.Thread):
    """A member of somebody else's group: takes partitions, reads, does nothing, leaves. It never commits."""

    def __init__(self, stage: Stage, group: str, topic: str) -> None:
        super().__init__(daemon=True, name=f"guest {group}")
        self._stage = stage
        config = {"bootstrap.servers": stage.plain, "group.id": stage.topic(group), "enable.auto.commit": False}
        self._config = {**config, "group.protocol": "consumer", "auto.offset.reset": "earliest", "log_level": 0}
        self._topic = stage.topic(topic)
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.wait(_EVERY_S):
            consumer = Consumer(self._config)
            self._stage.fault(f"a guest joins the group of {self._topic}")
            with contextlib.suppress(KafkaException):
                consumer.subscribe([self._topic])
                for _ in range(int(_EVERY_S / 0.1)):
                    consumer.poll(0.1)
            consumer.close()

    def end(self) -> None:
        """Joins no more."""
        self._ending.set()
        self.join()


def storm(stage: Stage, slow_s: float) -> None:
    """Until the time is up. ``slow_s``: how long some models take."""
    stage.sender.slow = lambda rng: slow_s if rng.random() < _SHARE else 0.0
    guests = [_Guest(stage, group, topic) for group, topic in GROUPS.items()]
    for guest in guests:
        guest.start()
    extra = ("steps-2", "router-2", "pool-2")
    while stage.on():
        stage.idle(1.0, _EVERY_S)
        name = stage.rng.choice(extra)
        if name in stage.workers.struck():
            stage.workers.restart(name)
        else:
            stage.workers.leave(name)
    for guest in guests:
        guest.end()
    assert set(extra) <= set(EVERYBODY)
