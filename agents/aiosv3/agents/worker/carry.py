"""A parked task as one journal record: all that its run is built from again (protocol section 2, rule 23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from aiosv3.agents.facts import DEADLINE_STEP, JournalEntry
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.agents.worker.live import LiveTask
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.records import Carry, CarryEntry, CarryHeader, CarryTimer, JournalKind, JournalRecord, Outcome
from aiosv3.schemas.sealing import TASK, is_sealed, seal
from aiosv3.streams.log import Record

_FRAME: Final = 5
"""Confluent framing: a zero byte and the schema's id in four."""


def carry_of(live: LiveTask, version: str, upto: int, own_upto: int) -> Carry:
    """The task as it stands: every journal record of it below ``upto`` was applied. ``version``: of this code."""
    record = _sealed_event(live)
    return Carry(
        task_key=record.key,
        task_value=record.value,
        task_headers=tuple(CarryHeader(name, value) for name, value in record.headers),
        task_timestamp=record.timestamp,
        code_version=live.run.code_version or version,
        entries=tuple(live.journal),
        upto=upto,
        own_upto=own_upto,
        timers=tuple(_timers(live)),
        resting=version if live.resting else None,
    )


def _sealed_event(live: LiveTask) -> Record:
    """Its event as it is kept: an outsider's plain input must not stand in the journal of a sealed task."""
    record, task = live.record, live.task
    if record.value is None or is_sealed(record.value):
        return record
    key = task.keys.key(live.run.clearance)
    if key is None:
        return record
    event = unfolded(record)
    return event._replace(value=seal(key, TASK, task.id, event.value or b""))


def _timers(live: LiveTask) -> Iterator[CarryTimer]:
    for step in live.run.waiting.values():
        if step.due is not None:
            yield CarryTimer(step.id, step.hash, step.due)
    expiry = live.task.grant.exp
    if expiry is not None and DEADLINE_STEP in live.timers:
        yield CarryTimer(DEADLINE_STEP, "", expiry)


def journal_record(task_id: str, offset: int, carry: Carry) -> JournalRecord:
    """``carry`` as the record of the task whose input stands at ``offset``."""
    return JournalRecord(task_id, offset, None, None, JournalKind.CARRY, Outcome.OK, carry=carry)


def claimed(carry: Carry, claim: str) -> Carry:
    """What travels instead of a carry that is too large for a record."""
    return Carry(
        task_key=None,
        task_value=None,
        task_headers=(),
        task_timestamp=carry.task_timestamp,
        code_version=carry.code_version,
        entries=(),
        upto=carry.upto,
        own_upto=carry.own_upto,
        claim=claim,
        timers=carry.timers,
        resting=carry.resting,
    )


def carry_in(codec: Codec, value: bytes) -> Carry:
    """The carry out of a journal record's bytes. Raises WireError, UnresolvedSchema."""
    carry = codec.decode_as(JournalRecord, value).carry
    if carry is None:
        raise WireError("a journal record of kind CARRY that holds no carry")
    return carry


def task_record(carry: Carry, topic: str, partition: int, offset: int) -> Record:
    """The task event as it was received."""
    headers = [(header.name, header.value) for header in carry.task_headers]
    return Record(topic, partition, offset, carry.task_timestamp, carry.task_key, carry.task_value, headers)


def decode_entries(
    entries: Iterable[CarryEntry],
    codec: Codec,
    opened: Callable[[JournalRecord], JournalRecord] = lambda record: record,
) -> list[JournalEntry]:
    """A task's journal out of its bytes. ``opened``: opens what is sealed. Raises WireError, UnresolvedSchema."""
    return [
        JournalEntry(entry.offset, entry.timestamp, opened(codec.decode_as(JournalRecord, entry.value)), entry.value)
        for entry in entries
    ]


def schemas_of(carry: Carry) -> set[int]:
    """The ids of the schemas that are needed to read it; those of plain JSON are left out."""
    values = [entry.value for entry in carry.entries]
    if carry.task_value is not None:
        values.append(carry.task_value)
    return {int.from_bytes(value[1:_FRAME], "big") for value in values if value[:1] == b"\0" and len(value) > _FRAME}
