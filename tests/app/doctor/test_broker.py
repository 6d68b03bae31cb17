from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.doctor import Level, broker
from aiosv3.streams.kafka import BrokerFacts

_NEW = {"group.consumer.session.timeout.ms": "6000"}


@pytest.mark.parametrize(
    ("settings", "release"),
    [
        ({"inter.broker.protocol.version": "3.9-IV0", **_NEW}, "Kafka 3.9"),
        ({**_NEW, "group.streams.session.timeout.ms": "45000"}, "Kafka 4.1 or newer"),
        (_NEW, "Kafka 4.0 or newer"),
        ({"x": "y"}, "a broker of unknown release"),
    ],
)
def test_the_release_shows_in_the_settings(settings: dict[str, str], release: str) -> None:
    assert broker.judged("b:1", BrokerFacts(1, settings))[0].message == f"b:1 answers: {release}, 1 broker"


def test_settings_that_bite_later_are_warnings() -> None:
    settings = {**_NEW, "auto.create.topics.enable": "true", "num.partitions": "1", "default.replication.factor": "1"}
    found = broker.judged("b:1", BrokerFacts(3, settings))
    assert [one.level for one in found] == [Level.OK, Level.WARNING, Level.WARNING]
    assert "makes topics with 1 partitions" in found[1].message
    assert [one.level for one in broker.judged("b:1", BrokerFacts(1, {"default.replication.factor": "1"}))] == [
        Level.OK
    ]


def test_settings_that_are_not_shown_are_a_warning() -> None:
    (found,) = broker.judged("b:1", BrokerFacts(2, {}))
    assert (found.level, found.action is not None) == (Level.WARNING, True)


async def test_no_broker_at_all_is_a_warning_for_those_who_have_not_started_one(case_of: Any) -> None:
    (found,) = await broker.check(case_of())
    assert (found.level, "'aiosv3 up' starts one" in (found.action or "")) == (Level.WARNING, True)


async def test_whether_anything_listens_is_told(case_of: Any, black_hole: int) -> None:
    (hole,) = await broker.check(case_of(f'[kafka]\nbootstrap = "127.0.0.1:{black_hole}"', patience=0.3))
    assert (hole.level, "something listens there" in (hole.action or "")) == (Level.FAILED, True)
    (closed,) = await broker.check(case_of('[kafka]\nbootstrap = "127.0.0.1:1"', patience=0.3))
    assert (closed.level, closed.action) == (Level.FAILED, None)
    assert closed.message.startswith("no Kafka broker answered at 127.0.0.1:1")
