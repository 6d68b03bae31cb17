"""One run against worker processes: produces, waits on conditions, reads what came out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from topic_reader import TopicReader, first_by_id, header, plain_producer
from worker_processes import WorkerProcesses

from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.partitioner import murmur2_partition


class Run:
    """One run: produces, waits on conditions, reads."""

    def __init__(self, mesh: WorkerProcesses) -> None:
        self.mesh = mesh
        self.reader = TopicReader(mesh.bootstrap, mesh.lock)
        self.producer = plain_producer(mesh.bootstrap)
        self.sent: dict[str, tuple[str, str, int]] = {}
        self._times: dict[str, str] = {}

    def topic(self, name: str) -> str:
        return self.mesh.prefix + name

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        """Polls until the condition holds; a deadline, never a hope."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s\n{self.mesh.logs()}"
            time.sleep(0.1)

    def send(self, agent: str, task_id: str, key: str, number: int) -> None:
        """A task; the same event again, with the time of the first, where it was sent before (protocol rule 13)."""
        self.sent[task_id] = (agent, key, number)
        first = self._times.setdefault(task_id, datetime.now(UTC).isoformat())
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", task_id.encode()),
            ("ce_time", first.encode()),
            ("content-type", b"application/json"),
        ]
        value = json.dumps({"number": number}).encode()
        self.producer.produce(self.topic(f"tasks.{agent}"), key=key.encode(), value=value, headers=headers)
        self.producer.poll(0)

    def cancel(self, agent: str, task_id: str, key: str) -> None:
        record = JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
        partition = murmur2_partition(key.encode(), self.mesh.partitions)
        out = journal_outgoing(self.reader.codec(), self.topic(f"journal.{agent}"), partition, record, b"test")
        self.producer.produce(
            out.topic, key=out.key, value=out.value, partition=partition, headers=[(n, v) for n, v in out.headers]
        )
        self.producer.flush(10)

    def results(self, agent: str) -> dict[str, list[dict[str, Any]]]:
        messages = self.reader.messages(self.topic(f"results.{agent}"))
        codec = self.reader.codec()  # read after the records: their schemas are in the project's lock before them
        return first_by_id(
            [(header(message, "ce_id") or "", codec.decode(message.value() or b"").datum) for message in messages]
        )

    def finished(self) -> int:
        return self.reader.count(self.topic("results.worker")) + self.reader.count(self.topic("results.queue"))

    def ready(self) -> bool:
        """Every topic that the workers of the crash test make is there."""
        return self.there("results.worker", "results.queue", "completions.counted", "prompts")

    def there(self, *names: str) -> bool:
        """These topics exist."""
        return {self.topic(name) for name in names} <= set(self.producer.list_topics(timeout=10).topics)

    def registered(self, name: str) -> bool:
        """The schema of a topic's values is in the project's lock: its worker has come further than to make topics."""
        lock = self.mesh.lock
        return lock.exists() and f'"{self.topic(name)}-value"' in lock.read_text()

    def committed(self, group: str, topic: str, partition: int) -> int:
        """The base that a group has committed."""
        config = {"bootstrap.servers": self.mesh.bootstrap, "group.id": self.topic(group), "enable.auto.commit": False}
        consumer = Consumer(config)
        try:
            return consumer.committed([TopicPartition(topic, partition)], timeout=10)[0].offset
        finally:
            consumer.close()
