"""Tokens and progress on a real broker, from real processes: shown early, void when they must be, and only if asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from crash_run import Run
from streaming_endpoint import STORY, StreamingEndpoint
from topic_reader import header
from worker_processes import WorkerProcesses

from aiosv3.schemas.deltas import Delta, DeltaKind

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.process,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("streaming"),
]
PARTITION = 2
PREFIX = "streaming."


class Tail:
    """Reads a few topics on and on, from their beginning."""

    def __init__(self, bootstrap: str, places: list[TopicPartition]) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tail", "enable.auto.commit": False})
        self._consumer.assign(places)
        self._seen: list[Message] = []

    def of(self, topic: str) -> list[Message]:
        """What has been read of a topic until now, and what has come since."""
        self._seen += [one for one in self._consumer.consume(1_000, timeout=0.1) if one.error() is None]
        return [one for one in self._seen if one.topic() == topic]

    def close(self) -> None:
        self._consumer.close()


class Stage(NamedTuple):
    """One mesh for all tests of this module."""

    mesh: WorkerProcesses
    run: Run
    endpoint: StreamingEndpoint
    tail: Tail

    def send(self, agent: str, task_id: str, wish: str, stream: int | None = PARTITION) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", task_id), ("content-type", "application/json")]
        if stream is not None:
            headers.append(("ce_stream", str(stream)))
        value = json.dumps({"text": wish}).encode()
        self.run.producer.produce(self.run.topic(f"tasks.{agent}"), key=task_id.encode(), value=value, headers=headers)
        self.run.producer.flush(10)

    def shown(self, root: str, kind: DeltaKind | None = None) -> list[Delta]:
        """What a reader of the partition sees of a tree; by the header alone it passes over what is not its own."""
        codec = self.run.reader.codec()
        mine = [one for one in self.tail.of(self.run.topic("deltas")) if header(one, "ce_subject") == root]
        deltas = [codec.decode_as(Delta, one.value() or b"") for one in mine]
        return [delta for delta in deltas if kind in {None, delta.kind}]

    def result(self, agent: str, task_id: str) -> str:
        topic = self.run.topic(f"results.{agent}")

        def found() -> list[Message]:
            return [one for one in self.tail.of(topic) if header(one, "ce_id") == task_id]

        self.run.wait(lambda: bool(found()), f"the result of {task_id}")
        return str(self.run.reader.codec().decode(found()[0].value() or b"").datum["content"]["value"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[Stage]:
    endpoint = StreamingEndpoint()
    endpoint.start()
    folder = tmp_path_factory.mktemp("streaming")
    prefix = f"{PREFIX}{folder.name}."
    agents = ("streaming_agents:writer", "streaming_agents:publisher")
    mesh = WorkerProcesses(folder, kafka, prefix, endpoint, agents=agents)
    mesh.start("writer-1", "agent", "writer")
    mesh.start("publisher-1", "agent", "publisher")
    mesh.start("router-1", "router")
    mesh.start("pool-1", "pool", "counted")
    run = Run(mesh)
    try:
        topics = ("results.writer", "results.publisher", "completions.counted", "prompts", "deltas")
        run.wait(lambda: run.there(*topics), "the topics")
        places = [TopicPartition(run.topic("deltas"), PARTITION, 0)]
        places += [TopicPartition(run.topic(f"results.{a}"), p, 0) for a in ("writer", "publisher") for p in range(4)]
        tail = Tail(kafka, places)
        yield Stage(mesh, run, endpoint, tail)
        tail.close()
    finally:
        mesh.close()


def text_of(deltas: list[Delta]) -> str:
    return "".join(str(delta.content) for delta in deltas if delta.kind is DeltaKind.TOKEN)


def test_the_first_words_are_there_while_the_model_still_writes(stage: Stage) -> None:
    """Who follows the root sees what is written two agents below it."""
    stage.send("publisher", "early", "hold early")
    stage.run.wait(lambda: bool(stage.shown("early", DeltaKind.TOKEN)), "the first words")
    assert stage.endpoint.written["hold early"] == 0, "the answer is not complete"
    assert STORY.startswith(text_of(stage.shown("early")))
    stage.endpoint.go_on()
    assert stage.result("publisher", "early") == STORY
    stage.run.wait(lambda: bool(stage.shown("early", DeltaKind.END)), "the end of the answer")
    shown = [delta for delta in stage.shown("early") if delta.kind is not DeltaKind.PROGRESS]
    assert text_of(shown) == STORY
    assert [delta.sequence for delta in shown] == list(range(len(shown)))
    assert {(delta.task_id, delta.step_id, delta.attempt, delta.agent) for delta in shown} == {
        ("early/1", "1", 1, "writer")
    }
    told = stage.shown("early", DeltaKind.PROGRESS)
    assert [(delta.step_id, delta.content, delta.fraction) for delta in told] == [
        ("progress.1", "asking", 0.0),
        ("progress.2", None, 1.0),
    ]


def test_nobody_asked_and_nothing_is_on_the_topic(stage: Stage) -> None:
    before = stage.run.reader.count(stage.run.topic("deltas"))
    stage.send("publisher", "quiet", "at once", stream=None)
    stage.send("writer", "nowhere", "at once", stream=99)
    assert stage.result("publisher", "quiet") == stage.result("writer", "nowhere") == STORY
    assert stage.run.reader.count(stage.run.topic("deltas")) == before


def test_an_answer_that_breaks_off_is_written_again_from_zero(stage: Stage) -> None:
    """Twice on one replica, then as the next attempt."""
    stage.send("writer", "cut", "cut 2")
    assert stage.result("writer", "cut") == STORY
    stage.run.wait(lambda: bool(stage.shown("cut", DeltaKind.END)), "the end of the answer")
    shown = [delta for delta in stage.shown("cut") if delta.kind is not DeltaKind.PROGRESS]
    begun = [index for index, delta in enumerate(shown) if delta.sequence == 0]
    calls = [shown[start:end] for start, end in zip(begun, [*begun[1:], None], strict=True)]
    assert [call[0].attempt for call in calls] == [1, 1, 2]
    assert [text_of(call)[:4] for call in calls[:2]] == ["Once", "Once"]
    assert text_of(calls[2]) == STORY
    assert [delta.kind for delta in shown].count(DeltaKind.END) == 1, "what broke off has no end"


def test_a_worker_that_dies_while_it_writes_is_told_from_its_successor(stage: Stage) -> None:
    stage.send("writer", "killed", "hold killed")
    stage.run.wait(lambda: bool(stage.shown("killed", DeltaKind.TOKEN)), "the first words")
    stage.mesh.kill("pool-1")
    stage.mesh.restart("pool-1")
    stage.run.wait(lambda: stage.endpoint.waiting["hold killed"] == 2, "the call of the next worker")
    stage.endpoint.go_on()
    stage.endpoint.go_on()  # one for the call whose worker is dead
    assert stage.result("writer", "killed") == STORY
    stage.run.wait(lambda: bool(stage.shown("killed", DeltaKind.END)), "the end of the answer")
    shown = [delta for delta in stage.shown("killed") if delta.kind is not DeltaKind.PROGRESS]
    epochs = sorted({delta.epoch for delta in shown})
    assert len(epochs) == 2
    assert {delta.attempt for delta in shown} == {1}
    last = [delta for delta in shown if delta.epoch == epochs[1]]
    assert text_of(last) == STORY
    assert [delta.sequence for delta in last] == list(range(len(last)))
