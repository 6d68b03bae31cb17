"""The compacted topic in which the schema registry keeps what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from aiosv3.app.localstack.errors import LocalStackError

SCHEMAS_TOPIC: Final = "_schemas"
_TIMEOUT_S: Final = 30.0
_CONFIG: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}


class SchemaLogUnavailable(LocalStackError):
    """The broker did not answer. Whether an append is on the log is then unknown: replay before going on."""


class SchemaLog:
    """One partition, one writer. ``topic`` is created with one replica where it is missing."""

    def __init__(self, bootstrap: str, topic: str = SCHEMAS_TOPIC) -> None:
        self._client: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._topic = topic
        self._producer = Producer(
            {**self._client, "enable.idempotence": True, "linger.ms": 0, "delivery.timeout.ms": 10_000}
        )

    def ensure(self) -> None:
        """Create the topic where it is missing. Raises ``SchemaLogUnavailable``."""
        admin = AdminClient(self._client)
        topic = NewTopic(self._topic, num_partitions=1, replication_factor=1, config=_CONFIG)
        try:
            admin.create_topics([topic], operation_timeout=_TIMEOUT_S)[self._topic].result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise SchemaLogUnavailable(f"{self._topic} could not be created: {error}") from error
        except TimeoutError as error:
            raise SchemaLogUnavailable(f"{self._topic} could not be created: no broker answered") from error

    def replay(self) -> Iterator[tuple[str, str | None]]:
        """Every key and value up to the end of now. Raises ``SchemaLogUnavailable``."""
        consumer = Consumer(
            {**self._client, "group.id": "aiosv3-registry", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while True:
                message = consumer.poll(_TIMEOUT_S)
                if message is None:
                    raise SchemaLogUnavailable(f"{self._topic} could not be read within {_TIMEOUT_S:.0f} s")
                error = message.error()
                if error is None:
                    yield _text(message.key()) or "{}", _text(message.value())
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    return
                elif not error.retriable():
                    raise SchemaLogUnavailable(f"{self._topic} could not be read: {error}")
        finally:
            consumer.close()

    def append(self, key: str, value: str | None) -> None:
        """Return once the record is on the log. Raises ``SchemaLogUnavailable``."""
        failures: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            failures.append(error)

        self._producer.produce(self._topic, key=key, value=value, partition=0, on_delivery=delivered)
        self._producer.flush(_TIMEOUT_S)
        if failures != [None]:
            raise SchemaLogUnavailable(f"{self._topic} did not take the record: {failures or 'no answer'}")


def _text(data: str | bytes | None) -> str | None:
    return data.decode("utf-8") if isinstance(data, bytes) else data
