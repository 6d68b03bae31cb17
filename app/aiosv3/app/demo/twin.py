"""One model for both sides, and the naive twin as processes: how it is started, and when it has nothing left to do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from aiosv3.app.demo.calls import NAIVE, OURS
from aiosv3.app.demo.stack import MODEL_PROCESS, DemoFailed
from aiosv3.app.demo.topiclog import QUIETLY, Raw
from aiosv3.app.localstack.ports import LOOPBACK
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.settings import PoolSettings
from aiosv3.schemas.headers import Clearance

RESULTS_TOPIC: Final = "naive.results"
GROUP: Final = "naive"
_MODULES: Final = "aiosv3.app.demo"
_ANSWER_S: Final = 10.0
_JOIN_S: Final = 30.0
_LOAD_S: Final = 240.0
"""The model's file may have to be fetched first."""


def behind_meter(pools: Mapping[str, PoolSettings], port: int) -> dict[str, PoolSettings]:
    """The same pools for our model workers, asked through the endpoint that counts. Keys stay with that endpoint."""
    return {
        name: pool.model_copy(
            update={"kind": "openai", "base_url": _url(OURS, name, port), "api_key_env": "", "model": pool.model}
        )
        for name, pool in pools.items()
    }


def model_spec(pools: Mapping[str, PoolSettings], port: int, project: Path, log: Path, logs: Path) -> ProcessSpec:
    """The process that has the model, or asks the server that has it, and writes down every call."""
    named = {name: pool.model_dump(mode="json", exclude_unset=True) for name, pool in pools.items()}
    arguments = ("--port", str(port), "--log", str(log), "--project", str(project))
    return ProcessSpec(
        name=MODEL_PROCESS,
        argv=(sys.executable, "-m", f"{_MODULES}.meter", *arguments),
        log_path=logs / f"{MODEL_PROCESS}.log",
        env={"AIOSV3_POOLS": json.dumps(named)},
        stage=2,
        ready=f"http://{LOOPBACK}:{port}/",
        ready_timeout_s=_LOAD_S,
        stop_timeout_s=2.0,
    )


def naive_specs(
    count: int, bootstrap: str, tasks: str, pools: Mapping[str, PoolSettings], port: int, logs: Path
) -> list[ProcessSpec]:
    """So many loops in one group, restarted like our workers. They ask the first pool: a loop has no router."""
    name, pool = next(iter(pools.items()))
    arguments = (bootstrap, tasks, RESULTS_TOPIC, pool.model, _url(NAIVE, name, port))
    return [
        ProcessSpec(
            name=f"naive-{number}",
            argv=(sys.executable, "-m", f"{_MODULES}.naive", *arguments),
            log_path=logs / f"naive-{number}.log",
            stage=3,
            stop_timeout_s=2.0,
        )
        for number in range(1, count + 1)
    ]


def sees_everything(pools: Mapping[str, PoolSettings], highest: Clearance) -> bool:
    """Whether the twin may run: it asks its pool about any text, for it knows no classes of data."""
    return next(iter(pools.values())).clearance >= highest


def _url(asker: str, pool: str, port: int) -> str:
    return f"http://{LOOPBACK}:{port}/{asker}/{pool}/v1"


def create_results(bootstrap: str, partitions: int) -> None:
    """The twin's topic of results. Raises :class:`DemoFailed`."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIETLY})
    topic = NewTopic(RESULTS_TOPIC, num_partitions=partitions, replication_factor=1)
    try:
        admin.create_topics([topic], operation_timeout=_ANSWER_S)[RESULTS_TOPIC].result(_ANSWER_S)
    except (KafkaException, TimeoutError) as error:
        raise DemoFailed(f"the broker does not create {RESULTS_TOPIC}: {str(error) or 'no answer'}") from None


def wait_joined(bootstrap: str, members: int, timeout_s: float = _JOIN_S) -> None:
    """Until the twin's group has its partitions: it shall not lose time that ours had. Raises :class:`DemoFailed`."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIETLY})
    deadline = time.monotonic() + timeout_s
    while not _joined(admin, members):
        if time.monotonic() > deadline:
            raise DemoFailed(f"the naive loops did not join their group in {timeout_s:g} s: see logs/naive-1.log")
        time.sleep(0.1)


def _joined(admin: AdminClient, members: int) -> bool:
    try:
        group = admin.describe_consumer_groups([GROUP], request_timeout=_ANSWER_S)[GROUP].result(_ANSWER_S)
    except (KafkaException, TimeoutError):
        return False
    owned = [member.assignment.topic_partitions for member in group.members if member.assignment]
    return len(owned) == members and all(owned)


class Backlog:
    """What the twin's group has not committed yet of the tasks. Answers in milliseconds; used by one thread."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer: Any = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False, **QUIETLY}
        )

    def is_empty(self) -> bool:
        """Whether every task is behind a committed offset: what has no result by then, nobody will look at again."""
        try:
            committed = {part.partition: part.offset for part in self._consumer.committed(self._parts, timeout=5.0)}
            return all(
                max(0, committed[part.partition]) >= self._consumer.get_watermark_offsets(part, timeout=5.0)[1]
                for part in self._parts
            )
        except KafkaException:
            return False

    def close(self) -> None:
        self._consumer.close()


def read_results(raws: Iterable[Raw]) -> list[tuple[Raw, dict[str, str]]]:
    """The twin's results: JSON with distribution, licence, by."""
    return [(raw, json.loads(raw.value)) for raw in raws if raw.value is not None]


def words(result: Mapping[str, str]) -> str:
    """A result in short."""
    return f"{result['distribution']}: {result['licence']} ({result['by']})"
