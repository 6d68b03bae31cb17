"""The topic in which schema registries keep what they know. Any number of them may share it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from aiosv3.app.localstack.catalog import Entry, RegistryError

MAX_BYTES: Final = 2 * 1024 * 1024
_TIMEOUT_S: Final = 8.0
_TRIES: Final = 100
# An entry holds a whole body, with three bytes for one where it is not ASCII.
_MAX_ENTRY: Final = 4 * MAX_BYTES
_CONFIG: Final = {"cleanup.policy": "compact", "max.message.bytes": str(_MAX_ENTRY)}


class SchemaLog:
    """Calls ``apply`` with each entry of ``topic`` in order, from one thread at a time, inside the other methods.

    Creates the topic where it is missing. Thread-safe. Without a broker, everything raises RegistryError 50001.
    """

    def __init__(self, bootstrap: str, topic: str, apply: Callable[[Any, Any], None]) -> None:
        self._topic = topic
        self._apply = apply
        self._applied = -1
        self._reading, self._appending = threading.Lock(), threading.Lock()
        client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        sure = {"enable.idempotence": True, "delivery.timeout.ms": round(_TIMEOUT_S * 1000)}
        self._producer = Producer({**client, **sure, "linger.ms": 0, "message.max.bytes": _MAX_ENTRY})
        self._consumer = Consumer({**client, "group.id": "aiosv3-registry", "enable.auto.commit": False})
        admin, wanted = AdminClient(client), NewTopic(topic, num_partitions=1, replication_factor=-1, config=_CONFIG)
        try:
            failure = admin.create_topics([wanted])[topic].exception(_TIMEOUT_S)
            # Without this question librdkafka finds the partition's leader half a second later.
            found = self._consumer.list_topics(topic, _TIMEOUT_S).topics[topic]
        except (KafkaException, TimeoutError) as error:
            raise RegistryError(50001, f"{topic} could not be created: {str(error) or 'no broker answers'}") from error
        if failure is not None and found.error is not None:
            raise RegistryError(50001, f"{topic} could not be created: {failure}")
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        self._write('{"keytype": "NOOP"}', "")

    def read(self, until: int = -1) -> None:
        """Apply what is there; wait for the entry at offset ``until``."""
        with self._reading:
            while (message := self._consumer.poll(_TIMEOUT_S if self._applied < until else 0)) is not None:
                # librdkafka goes on by itself after an error.
                if message.error() is None:
                    self._apply(message.key() or "{}", message.value())
                    self._applied = message.offset() or 0
            if self._applied < until:
                raise RegistryError(50001, f"{self._topic} could not be read within {_TIMEOUT_S:.0f} s")

    def append(self, decide: Callable[[], list[Entry]]) -> None:
        """Append what ``decide`` says until it says nothing more: an entry of somebody else's may count before."""
        with self._appending:
            for _ in range(_TRIES):
                self.read()
                entries = decide()
                if not entries:
                    return
                for entry in entries:
                    self._write(*entry)
        raise RegistryError(50001, f"{self._topic}: other registries were faster {_TRIES} times, try again")

    def _write(self, key: str, value: str) -> None:
        """Returns once the entry is applied, and so all that is before it."""
        outcome: list[KafkaError | int | None] = []
        self._producer.produce(self._topic, value, key, 0, lambda error, it: outcome.append(error or it.offset()))
        self._producer.flush(_TIMEOUT_S)
        if not outcome or not isinstance(outcome[0], int):
            raise RegistryError(50001, f"{self._topic} did not take the record: {outcome or 'no broker answers'}")
        self.read(until=outcome[0])
