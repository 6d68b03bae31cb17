"""The choice of the group protocol."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import Connection, choose_group_protocol, protocol
from aiosv3.streams.kafka.protocol import decide

_NEW = {
    "group.coordinator.rebalance.protocols": "classic,consumer,streams",
    "group.consumer.session.timeout.ms": "45000",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
}


def test_kip_848_where_its_session_is_short_enough() -> None:
    chosen = decide(_NEW | {"group.consumer.session.timeout.ms": "6000"}, 6_000)
    assert (chosen.name, chosen.session_ms) == ("consumer", 6_000)


def test_classic_where_the_session_is_too_long_and_says_what_to_lower() -> None:
    chosen = decide(_NEW, 10_000)
    assert (chosen.name, chosen.session_ms) == ("classic", 10_000)
    assert "group.consumer.session.timeout.ms is 45000, over 10000: lower it" in chosen.reason


def test_classic_stays_within_the_brokers_bounds() -> None:
    assert decide(_NEW, 1_000).session_ms == 6_000
    assert decide(_NEW, 2_000_000) == decide(_NEW, 2_000_000)
    assert decide({**_NEW, "group.coordinator.rebalance.protocols": "classic"}, 9_000_000).session_ms == 1_800_000


def test_classic_where_the_protocol_is_off_or_unknown() -> None:
    off = decide(_NEW | {"group.coordinator.rebalance.protocols": "classic"}, 60_000)
    assert off.name == "classic"
    assert "does not hold 'consumer'" in off.reason
    assert "older than 4.0" in decide({}, 6_000).reason
    assert decide({}, 6_000).session_ms == 6_000


def test_a_static_member_is_classic_wherever_it_is() -> None:
    chosen = decide(_NEW | {"group.consumer.session.timeout.ms": "6000"}, 6_000, static=True)
    assert (chosen.name, chosen.session_ms) == ("classic", 6_000)
    assert "static" in chosen.reason


def test_settings_of_both() -> None:
    classic = decide({}, 6_000).config("me")
    assert classic["partition_assignment_strategy"] == "cooperative-sticky"
    assert (classic["session_timeout_ms"], classic["group_instance_id"]) == (6_000, "me")
    assert decide(_NEW, 60_000).config(None) == {"group_protocol": "consumer"}


async def test_a_broker_that_names_none_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has just come up does so; without an answer the worker would stand still for good."""
    answers: list[dict[int, None]] = [{}, {}, {7: None}]
    asked: list[int] = []

    class Client:
        def list_topics(self, timeout: float) -> SimpleNamespace:
            assert timeout > 0
            return SimpleNamespace(brokers=answers.pop(0))

    def described(_client: Client, broker: int) -> dict[str, str]:
        asked.append(broker)
        return {}

    monkeypatch.setattr(protocol, "admin_client", lambda *_: Client())
    monkeypatch.setattr(protocol, "_described", described)
    async with asyncio.timeout(30):
        assert (await choose_group_protocol(Connection("nowhere:1"))).name == "classic"
    assert (asked, answers) == ([7], [])


@pytest.mark.kafka
async def test_the_broker_is_asked(kafka: str) -> None:
    assert (await choose_group_protocol(Connection(kafka), 60_000)).name == "consumer"
    assert (await choose_group_protocol(Connection(kafka), 1_000)).name == "classic"


async def test_no_broker_is_one_clear_error() -> None:
    with pytest.raises(BrokerUnavailable, match="aiosv3 up"):
        await choose_group_protocol(Connection("127.0.0.1:1"))
