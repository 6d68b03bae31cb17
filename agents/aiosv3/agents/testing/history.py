"""Every record that a run appended, in order, also those that the log has deleted since; decoded and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiosv3.agents.opentasks import PartitionLog
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import CE_ID, CE_TYPE
from aiosv3.schemas.records import JournalKind, JournalRecord, ModelRequest
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import JOURNAL_TYPE
from aiosv3.streams.log import Record
from aiosv3.streams.tenure import OWNER_TYPE


class Landed(NamedTuple):
    """A record and the process that appended it."""

    record: Record
    by: str


class History:
    """Append-only. Topic names here come without the mesh's prefix."""

    def __init__(self, topics: Topics, codec: Codec, schemas: Mapping[str, AgentSchemas]) -> None:
        self._topics = topics
        self._codec = codec
        self._schemas = schemas
        self.landed: list[Landed] = []

    def __len__(self) -> int:
        return len(self.landed)

    def add(self, record: Record, by: str) -> None:
        """The next record."""
        self.landed.append(Landed(record, by))

    def topics(self) -> list[str]:
        """The topics that hold records, in order of appearance."""
        return list(dict.fromkeys(self.short(landed.record.topic) for landed in self.landed))

    def short(self, topic: str) -> str:
        """The topic without the mesh's prefix."""
        return topic.removeprefix(self._topics.prefix)

    def of(self, topic: str) -> list[Record]:
        """The records of one topic; ownership markers are left out."""
        return [record for record in self._all(topic) if not is_marker(record)]

    def _all(self, topic: str) -> list[Record]:
        wanted = self._topics.prefix + self.short(topic)
        return [landed.record for landed in self.landed if landed.record.topic == wanted]

    def log(self, agent: str) -> PartitionLog:
        """The partition of an agent as if nothing had been deleted: what carries say is there without them."""
        topics = self._topics
        return PartitionLog(
            tasks=self.of(topics.tasks(agent)),
            journal=[record for record in self._all(topics.journal(agent)) if not is_carry(record)],
            results=self.of(topics.results(agent)),
        )

    def decoded(self, record: Record) -> Any:
        """A typed record, an envelope, or plain data."""
        raw = record.value
        if raw is None:
            return None
        kind, _, agent = self.short(record.topic).partition(".")
        schemas = self._schemas.get(agent)
        if raw[:1] != b"\0":
            return json.loads(raw)
        if kind == "journal":
            return self._codec.decode_as(JournalRecord, raw)
        if kind == "prompts":
            return self._codec.decode_as(ModelRequest, raw)
        if schemas is not None and kind == "tasks":
            return schemas.decode_task(self._codec, raw)
        if schemas is not None and kind == "results":
            return schemas.decode_result(self._codec, raw)
        return self._codec.decode(raw).datum

    def words(self, record: Record) -> str:
        """What a record is, in a few words: ``journal.triage ANSWER of step 2``."""
        topic = self.short(record.topic)
        if is_marker(record):
            return f"{topic} marker of a new owner"
        kind = topic.partition(".")[0]
        name = (record.header(CE_ID) or b"").decode("utf-8", "replace")
        if kind == "journal":
            return f"{topic} {self._journal_words(self.decoded(record))}"
        if kind == "results":
            return f"{topic} {self.decoded(record).outcome} of task {name}"
        if kind == "tasks":
            return f"{topic} task {name}"
        return f"{topic} request {name}"

    def _journal_words(self, record: JournalRecord) -> str:
        if record.kind in {JournalKind.ANSWER, JournalKind.VALUE, JournalKind.TIMER}:
            return f"{record.kind} of step {record.step_id} of task {record.task_id}"
        return f"{record.kind} of task {record.task_id}"


def is_marker(record: Record) -> bool:
    """True for an ownership marker."""
    return record.value is None and record.header(CE_TYPE) == OWNER_TYPE.encode()


def is_carry(record: Record) -> bool:
    """True for the record of a parked task: it says nothing new."""
    return record.header(CE_TYPE) == JOURNAL_TYPE and (record.header(CE_ID) or b"").endswith(b"/carry")
