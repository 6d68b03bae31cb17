"""The tasks of a partition out of its records alone, as a new owner would find them (protocol section 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.keyed import KeyedState
from aiosv3.agents.replay import Replayed, replay
from aiosv3.agents.worker.admission import Identity, admitted, grant_of, identify, input_of, wishes_of
from aiosv3.agents.worker.carry import carry_in, decode_entries, task_record
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.agents.worker.ownership import Ownership, patches_in
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.agents.worker.state import opened_state
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.headers import CE_TYPE
from aiosv3.schemas.records import Carry, JournalRecord
from aiosv3.schemas.sealing import is_sealed
from aiosv3.schemas.state import Projection
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.commit import Commit
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Record
from aiosv3.streams.ownlog import learn_from_headers
from aiosv3.streams.tenure import OWNER_TYPE

_OWNER = OWNER_TYPE.encode()


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """What one partition of an agent holds. ``wholes``: what the claim store has of it, by claim.

    ``tasks`` and ``journal`` from the positions that ``commit`` names on (without one: all there is), ``results`` from
    the oldest position that a carry names.
    """

    tasks: Sequence[Record]
    journal: Sequence[Record]
    results: Sequence[Record]
    states: Sequence[Record] = ()
    commit: Commit | None = None
    wholes: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A task: its event, its journal, and the bytes of its result if it has one."""

    record: Record
    identity: Identity
    entries: list[JournalEntry]
    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A task run again. ``unreadable``: why today's code cannot even read its input; ``replayed`` is None then."""

    task_id: str
    replayed: Replayed | None
    unreadable: str | None = None

    @property
    def fits(self) -> bool:
        """True if today's code can go on with it."""
        return self.replayed is not None and self.replayed.stuck is None


def claims_of(journal: Iterable[Record], setup: AgentSetup) -> set[str]:
    """The claims that the records of a journal, and the carries in it, name. Raises UnresolvedSchema."""
    claims: set[str] = set()
    for _, decoded in _decoded(journal, setup):
        claims |= {claim for claim in (decoded.claim, decoded.carry.claim if decoded.carry else None) if claim}
    return claims


def find_tasks(log: PartitionLog, setup: AgentSetup) -> list[Found]:
    """Open and finished tasks in the order of their inputs. Raises WireError, UnresolvedSchema."""
    journal, carries = _sorted(log, setup)
    results = {learned.id: record for record in log.results if (learned := learn_from_headers(record)).id is not None}
    found: dict[str, Found] = {}
    events = [task_record(carry, "", 0, offset) for carry, offset in carries.values()] + list(log.tasks)
    for record in events:
        try:
            identity = identify(record, setup.agent.name)
        except WireError:
            continue  # a dead letter
        closed = results.get(identity.id)
        if identity.id in found or (closed is None and identity.id not in carries and _finished(log, record.offset)):
            continue
        entries = journal.get(identity.id, [])
        if identity.id in carries:
            carry, _ = carries[identity.id]
            entries = decode_entries(carry.entries, setup.codec, setup.seals.opened) + [
                e for e in entries if e.offset >= carry.upto
            ]
        found[identity.id] = Found(record, identity, entries, None if closed is None else closed.value)
    return sorted(found.values(), key=lambda one: one.record.offset)


def _finished(log: PartitionLog, offset: int) -> bool:
    return log.commit is not None and (offset < log.commit.base or offset in log.commit.completed)


def _sorted(log: PartitionLog, setup: AgentSetup) -> tuple[dict[str, list[JournalEntry]], dict[str, tuple[Carry, int]]]:
    """The journal by task, and the newest carry of each parked task with the offset of its input."""
    journal: dict[str, list[JournalEntry]] = {}
    carries: dict[str, tuple[Carry, int]] = {}
    for record, decoded in _decoded(log.journal, setup):
        task_id, carry = decoded.task_id, decoded.carry
        if carry is None:
            whole = _whole(decoded, log.wholes)
            opened = setup.seals.opened(whole)
            journal.setdefault(task_id, []).append(JournalEntry(record.offset, record.timestamp, opened))
        elif task_id not in carries or carry.upto >= carries[task_id][0].upto:
            carries[task_id] = carry, decoded.task_offset
    for task_id, (carry, offset) in carries.items():
        if carry.claim is not None:
            carries[task_id] = carry_in(setup.codec, log.wholes[carry.claim]), offset
    return journal, carries


def _decoded(journal: Iterable[Record], setup: AgentSetup) -> Iterator[tuple[Record, JournalRecord]]:
    """Those that a worker would not bury as dead letters."""
    for record in journal:
        with suppress(WireError):
            if record.value is not None:
                yield record, setup.codec.decode_as(JournalRecord, record.value)


def _whole(record: JournalRecord, wholes: Mapping[str, bytes]) -> JournalRecord:
    """Without its content, where the claim store does not have it: its task is stuck then, as in life."""
    found = wholes.get(record.claim or "")
    if found is None:
        return record
    return replace(record, content=found if is_sealed(found) else found.decode(), claim=None)


def _is_marker(record: Record) -> bool:
    return record.value is None and record.header(CE_TYPE) == _OWNER


def try_task(found: Found, log: PartitionLog, setup: AgentSetup) -> Tried:
    """Runs a task again on the code of ``setup``; nothing is sent. Raises UnresolvedSchema."""
    try:
        task = task_of(found.record, found.identity, setup)
        load = _loader(found, log, setup)
        ownership = Ownership()
        for record in log.journal:
            if _is_marker(record):
                ownership.owned(record.offset, patches_in(record))
        replayed = replay(setup.agent, task, found.entries, setup.secret, load=load, ownership=ownership)
    except (UnresolvedSchema, UnresolvedKey):
        raise
    except AiosError as error:
        return Tried(found.identity.id, None, str(error))
    return Tried(found.identity.id, replayed)


def task_of(record: Record, identity: Identity, setup: AgentSetup) -> Task:
    """The task of an event, as its worker admits it. Raises WireError, UnresolvedSchema."""
    record = unfolded(record)
    seals = setup.seals
    grant = seals.admitted(grant_of(record, identity, setup.agent, setup.defaults), record)
    value = input_of(record, setup.schemas, setup.codec, lambda raw: seals.value(identity.id, raw))
    keys = seals.keys(grant, max(grant.clearance, setup.agent.clearance), record.timestamp)
    return admitted(record, identity, grant, value, wishes_of(record), keys)


def _loader(found: Found, log: PartitionLog, setup: AgentSetup) -> Callable[[], KeyedState] | None:
    """The state that the task begins with: what the task of its key before it left (see ``StateTable.open``)."""
    schemas, kind = setup.schemas.state, setup.agent.state_type
    if schemas is None or kind is None:
        return None
    newest = Projection(-1, None)
    for projection in _projections(found, log, setup):
        if newest.input_offset < projection.input_offset < found.record.offset:
            newest = projection

    def load() -> KeyedState:
        if newest.value is None:
            return KeyedState(kind)
        return opened_state(setup, kind, newest.value)

    return load


def _projections(found: Found, log: PartitionLog, setup: AgentSetup) -> Iterable[Projection]:
    key, schemas = found.record.key, setup.schemas.state
    for record in log.states:
        if record.key == key and record.value is not None and schemas is not None:
            yield Projection(schemas.decode(setup.codec, record.value).input_offset, record.value)
    for record in log.results:
        if record.key == key and record.value is not None:
            projection = setup.schemas.projection(setup.codec, record.value, record.offset)
            if projection is not None:
                yield projection
