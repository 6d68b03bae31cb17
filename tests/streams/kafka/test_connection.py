"""What becomes of the complaints of librdkafka's clients."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import AuthenticationFailed, Connection, KafkaRefused
from aiosv3.streams.kafka.connection import ClientWatch


def _watch() -> ClientWatch:
    return ClientWatch(Connection("broker:9092", "tester", {"sasl.password": "secret"}), "reader tester")


def test_one_kind_of_line_passes_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    watch = ClientWatch(Connection("broker:9092"), "reader x", lambda: now)
    for _ in range(100):
        watch.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#1", "connection refused")
    watch.log(logging.ERROR, "%s [%s] %s", "ERROR", "rdkafka#1", "another kind")
    now = 10.0
    watch.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#1", "connection refused")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "reader x: FAIL [rdkafka#1] connection refused (0 more held back)",
        "reader x: ERROR [rdkafka#1] another kind (0 more held back)",
        "reader x: FAIL [rdkafka#1] connection refused (99 more held back)",
    ]


def test_a_wrong_password_is_told_whatever_the_request_ended_with() -> None:
    watch = _watch()
    assert isinstance(watch.failure(KafkaError(KafkaError._TIMED_OUT), "connecting"), BrokerUnavailable)
    watch.on_error(KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error"))
    failure = watch.failure(KafkaError(KafkaError._TIMED_OUT), "connecting")
    assert type(failure) is AuthenticationFailed
    assert "broker:9092 does not let tester in" in str(failure)
    assert "check user, password" in str(failure)


def test_an_answer_that_is_an_error_keeps_its_code() -> None:
    failure = _watch().failure(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "reading t[0]")
    assert isinstance(failure, KafkaRefused)
    assert failure.code == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert "Grant this principal" in str(failure)


def test_secrets_are_not_shown() -> None:
    connection = Connection("broker:9092", security={"sasl.password": "secret"})
    assert "secret" not in repr(connection)
    config = connection.config(_watch(), fetch_wait_max_ms=5)
    assert (config["sasl.password"], config["fetch.wait.max.ms"]) == ("secret", 5)


@pytest.mark.parametrize("code", [KafkaError._DESTROY_BROKER, KafkaError.NOT_CONTROLLER, KafkaError.NOT_COORDINATOR])
def test_a_broker_that_goes_while_it_is_asked_is_no_refusal(code: int) -> None:
    """Whoever waits out what passes must not end over it."""
    assert isinstance(_watch().failure(KafkaError(code), "asking"), BrokerUnavailable)
