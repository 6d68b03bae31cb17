"""A client is given up when others are answered and it is not, and not before."""

from __future__ import annotations

import asyncio

import pytest

from aiosv3.streams.kafka.connection import ClientWatch, Connection
from aiosv3.streams.kafka.doubt import GRACE_S, PATIENCE_S, Doubt, reaches

from .conftest import Cluster
from .nameless import Nameless


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Others:
    """Whether other clients are answered, and how often that was asked."""

    answered = True
    asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.answered


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def others() -> Others:
    return Others()


def test_nobody_is_asked_while_there_are_answers(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 6.0, clock)
    for _ in range(20):
        clock.now += PATIENCE_S - 1
        doubt.heard()
        assert not doubt.hopeless()
    assert others.asked == 0


def test_it_is_hopeless_when_others_have_had_answers_for_a_while(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 6.0, clock)
    clock.now += PATIENCE_S
    assert not doubt.hopeless()
    clock.now += GRACE_S - 1
    assert not doubt.hopeless()
    clock.now += 1
    assert doubt.hopeless()


def test_one_that_is_heard_meanwhile_is_not(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 6.0, clock)
    clock.now += PATIENCE_S
    assert not doubt.hopeless()
    doubt.heard()
    clock.now += GRACE_S
    assert not doubt.hopeless()
    clock.now += PATIENCE_S
    assert not doubt.hopeless()


def test_an_outage_for_all_is_none_of_its_fault(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 6.0, clock)
    others.answered = False
    for _ in range(100):
        clock.now += 1
        assert not doubt.hopeless()
    others.answered = True
    clock.now += GRACE_S
    assert not doubt.hopeless()  # they are back only now: this one may come back yet
    others.answered = False
    clock.now += GRACE_S
    assert not doubt.hopeless()
    others.answered = True
    clock.now += GRACE_S
    assert not doubt.hopeless()
    clock.now += GRACE_S
    assert doubt.hopeless()


def test_a_member_with_a_long_session_is_silent_for_longer(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 45.0, clock)
    clock.now += 45 / 3 + GRACE_S
    assert not doubt.hopeless()
    assert others.asked == 0
    clock.now += 45 / 3
    assert not doubt.hopeless()
    clock.now += GRACE_S
    assert doubt.hopeless()


def test_others_are_not_asked_at_each_look(clock: Clock, others: Others) -> None:
    doubt = Doubt(others, 6.0, clock)
    others.answered = False
    clock.now += PATIENCE_S
    for _ in range(1_000):
        clock.now += 0.02
        doubt.hopeless()
    assert 5 <= others.asked <= 11


@pytest.mark.kafka
async def test_a_broker_that_names_none_is_not_reached(cluster: Cluster) -> None:
    topic = cluster.topics.create("tasks", 1)
    async with Nameless(cluster.connection.bootstrap).open() as way:
        connection = Connection(way.bootstrap)
        watch = ClientWatch(connection, "probe")
        assert await _reached(connection, topic, watch)
        way.names_none = True
        assert not await _reached(connection, topic, watch)
    assert not await _reached(connection, topic, watch)
    assert way.named_none > 0


async def _reached(connection: Connection, topic: str, watch: ClientWatch) -> bool:
    return await asyncio.to_thread(reaches, connection, topic, watch)
