"""Records that nobody can read, on every topic, at every position."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Producer
from tests.chaos.clients import POISON
from tests.chaos.stage import PARTITIONS, Stage
from tests.chaos.workers import POOL, ZONE

_TOPICS: Final = (
    "tasks.steps",
    "tasks.queue",
    "journal.steps",
    "journal.queue",
    "results.steps",
    "results.queue",
    "prompts",
    "decisions",
    "journal.router",
    f"prompts.{POOL}",
    f"completions.{POOL}",
    f"tools.{ZONE}",
    f"tool-results.{ZONE}",
    "memory.queries",
    "memory.events",
    "memory.state",
    "state.queue",
    "ledger",
    "pools",
    "agents",
    "keys",
    "approvals",
    "dead-letters",
)
"""All but ``policies``: what stands there decides who may see what, so workers that cannot read it do not start."""
_OF_ONE: Final = frozenset({"pools", "agents", "keys"})
"""Topics with one partition."""
_VALUES: Final[tuple[bytes | None, ...]] = (
    b"",
    b"\x00",
    b"\x93\xff\x00 not json",
    b"\x00\x3b\x9a\xca\x00\x02",
    b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff",
    b'{"number": "many"}',
    None,
)
_HEADERS: Final[tuple[tuple[tuple[str, bytes | None], ...], ...]] = (
    (),
    (("ce_source", b"nowhere"),),
    (("ce_source", b"t/0/99999999999999999999"),),
    (("ce_type", b"aiosv3.owner"),),
    (("aios-grant", b"{"), ("aios-route", b"\xff"), ("aios-reply", b"[]")),
    (("aios-reply", None),),
)
_READABLE: Final = (("content-type", b"application/json"),)


def poison(stage: Stage) -> None:
    """At the start every partition has some as its first records; then here and there; then once more, as the last."""
    producer = Producer({"bootstrap.servers": stage.plain, "log_level": 0})
    number = 0

    def one(topic: str, partition: int) -> None:
        nonlocal number
        number += 1
        value, headers = stage.rng.choice(_VALUES), stage.rng.choice(_HEADERS)
        if headers == (("ce_type", b"aiosv3.owner"),) and value is None:
            headers = ()  # that would be no garbage: it says that somebody took the partition
        named: list[tuple[str, str | bytes | None]] = [("ce_id", f"{POISON}{number}".encode()), *headers, *_READABLE]
        producer.produce(stage.topic(topic), value, b"k", partition=partition, headers=named)
        producer.poll(0)

    def everywhere() -> None:
        for topic in _TOPICS:
            for partition in range(1 if topic in _OF_ONE else PARTITIONS):
                one(topic, partition)
        producer.flush(30)
        stage.fault("garbage everywhere")

    everywhere()
    while stage.on():
        stage.idle(0.5, 2.0)
        for topic in stage.rng.sample(_TOPICS, 5):
            one(topic, 0 if topic in _OF_ONE else stage.rng.randrange(PARTITIONS))
        producer.flush(30)
        stage.fault("garbage here and there")
        if stage.rng.random() < 0.3:
            names = stage.workers.some(stage.rng, 2)
            stage.workers.kill(*names)
            stage.workers.restart(*names)
    everywhere()
    names = stage.workers.alive()  # and all of it is met again by whoever restores
    stage.workers.kill(*names)
    stage.workers.restart(*names)
