"""Reads what the platform has left on its topics, for the checker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message
from tests.chaos.checker import Act, Acts, Answer, Evidence, Lane, Mark, Place, Result, Start, Task
from tests.chaos.clients import POISON, Sender, Watcher
from tests.chaos.endpoint import Call, Outside
from tests.chaos.workers import AGENTS, POOL, ZONE, Workers
from topic_reader import TopicReader, header

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Completion, JournalKind, JournalRecord, Outcome, base_request_id
from aiosv3.streams.tenure import OWNER_TYPE


@dataclass
class Reading:
    """Everything of one run, but for records that are bad on purpose."""

    reader: TopicReader
    prefix: str
    codec: Codec

    @classmethod
    def of(cls, bootstrap: str, workers: Workers) -> Reading:
        reader = TopicReader(bootstrap, workers.lock)
        return cls(reader, workers.prefix, reader.codec())

    def evidence(self, workers: Workers, sender: Sender, watcher: Watcher, outside: Outside) -> Evidence:
        """All of it."""
        marks = {name: list(self._marks(f"journal.{name}")) for name in AGENTS}
        lanes = [self._lane(name, marks[name]) for name in AGENTS]
        acts = [self._models(outside), self._tools(outside)]
        acts += [self._functions(name, workers, marks[name]) for name in ("steps",)]
        seen = {
            name: [(task_id, place, self.result(value)[0]) for task_id, place, value in rows]
            for name, rows in watcher.seen.items()
        }
        return Evidence(lanes, acts, sender.acked, seen, workers.ended)

    # -- lanes --------------------------------------------------------------------------------------------------------

    def _lane(self, name: str, marks: list[Mark]) -> Lane:
        return Lane(
            name,
            tasks=list(self._tasks(name)),
            results=list(self._results(name)),
            starts=list(self._starts(name)),
            marks=marks,
            serial=name == "queue",
            counted=name == "queue",
        )

    def _tasks(self, name: str) -> Iterator[Task]:
        met: set[str] = set()
        for message in self.messages(f"tasks.{name}"):
            task_id = header(message, "ce_id") or ""
            if task_id not in met:
                met.add(task_id)
                key = (message.key() or b"").decode()
                yield Task(
                    task_id, key, place_of(message), message.timestamp()[1], self._number(message.value() or b"")
                )

    def _number(self, value: bytes) -> int | None:
        if value.startswith(b"{"):
            return int(json.loads(value)["number"])
        return int(self.codec.decode(value).datum["content"]["number"])

    def _results(self, name: str) -> Iterator[Result]:
        for message in self.messages(f"results.{name}"):
            task_id = header(message, "ce_id") or ""
            if message.value() is not None:
                said, datum = self.result(message.value() or b"")
                content = datum["content"] or {}
                fine = datum["outcome"] == "OK"
                number, count = content.get("number"), content.get("count")
                yield Result(task_id, place_of(message), message.timestamp()[1], said, fine, number, count)

    def result(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """What a result says: comparable, and as it is."""
        datum = self.codec.decode(value).datum
        said = [datum["outcome"], datum["content"], datum["error"]]
        return json.dumps(said, sort_keys=True, default=str), datum

    def _starts(self, name: str) -> Iterator[Start]:
        met: set[str] = set()
        for message, record in self._journal(name):
            if record.kind is JournalKind.STARTED and record.task_id not in met:
                met.add(record.task_id)
                yield Start(record.task_id, place_of(message), message.timestamp()[1])

    def _journal(self, name: str) -> Iterator[tuple[Message, JournalRecord]]:
        for message in self.messages(f"journal.{name}"):
            if message.value() is not None:
                yield message, self.codec.decode_as(JournalRecord, message.value() or b"")

    # -- acts ---------------------------------------------------------------------------------------------------------

    def _models(self, outside: Outside) -> Acts:
        topic = f"completions.{POOL}"
        answers = []
        for message in self.messages(topic):
            if message.value() is None:
                continue
            said = self.codec.decode_as(Completion, message.value() or b"")
            if said.outcome is Outcome.OK:
                name = base_request_id(said.request_id)
                answers.append(Answer(name, place_of(message), message.timestamp()[1], said.epoch))
        acts = [_act(call, base_request_id(call.key)) for call in outside.models]
        return Acts("model", acts, answers, list(self._marks(topic)))

    def _tools(self, outside: Outside) -> Acts:
        topic = f"tool-results.{ZONE}"
        answers = []
        for message in self.messages(topic):
            if message.value() is not None:
                datum = self.codec.decode(message.value() or b"").datum
                epoch = int(datum.get("epoch", -1))
                answers.append(Answer(str(datum["request_id"]), place_of(message), message.timestamp()[1], epoch))
        return Acts("tool", [_act(call, call.key) for call in outside.tools], answers, list(self._marks(topic)))

    def _functions(self, name: str, workers: Workers, marks: list[Mark]) -> Acts:
        answers = [
            Answer(f"{record.task_id}/{record.step_id}", place_of(message), message.timestamp()[1])
            for message, record in self._journal(name)
            if record.kind is JournalKind.VALUE
        ]
        lines = workers.runs.read_text(encoding="utf-8").splitlines() if workers.runs.exists() else []
        acts = [Act(key, int(at), by) for at, by, key in (line.split(" ", 2) for line in lines)]
        return Acts(f"function of {name}", acts, answers, marks)

    # -- records ------------------------------------------------------------------------------------------------------

    def _marks(self, topic: str) -> Iterator[Mark]:
        for message in self.messages(topic):
            if message.value() is None and header(message, "ce_type") == OWNER_TYPE:
                yield Mark(place_of(message), message.timestamp()[1])

    def messages(self, topic: str) -> list[Message]:
        """What a topic holds that was not put there to be unreadable."""
        return [message for message in self.reader.messages(self.prefix + topic) if not _is_poison(message)]


def _is_poison(message: Message) -> bool:
    return (header(message, "ce_id") or POISON).startswith(POISON)


def _act(call: Call, key: str) -> Act:
    return Act(key, call.at, call.by, call.ended not in {None, "answered"})


def place_of(message: Message) -> Place:
    """Where a record is."""
    return Place(message.partition() or 0, message.offset() or 0)
