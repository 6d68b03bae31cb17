"""How a worker seals and opens; whole runs of it: tests/simulation/test_sealing.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from aiosv3.agents.worker.sealing import NO_SEALS, Seals, fetching, sealed_prompt, settled_soon, state_place
from aiosv3.agents.worker.state import opened_state
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import CE_SUBJECT, GRANT, Clearance, Grant
from aiosv3.schemas.records import (
    CarryEntry,
    JournalKind,
    JournalRecord,
    Message,
    ModelRequest,
    Outcome,
    Prompt,
    Role,
    StepFailure,
)
from aiosv3.schemas.sealing import PLAIN, PROMPT, STATE, TASK, DataKey, KeyedHashes, NoKey, open_sealed, seal
from aiosv3.schemas.state import StateChange, StateRecord
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.keys import KeyRing, MasterKeys, Owner, TopicKeys, UnresolvedKey, new_master_keys
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.log import Record
from aiosv3.streams.testing import MemoryBroker, MemoryLog


@dataclass
class Kept:
    words: list[str] = field(default_factory=list)


CODEC = Codec(SchemaStore())
MASTERS = new_master_keys()
HASHES = KeyedHashes(b"secret")
NOW = 10**12
GRANTED = Grant("acme", "root", Clearance.CONFIDENTIAL)
OWNER = Owner(HASHES.tenant("acme"), None, Clearance.CONFIDENTIAL)


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("keys", 1)
    return made


def ring(broker: MemoryBroker, up_to: Clearance = Clearance.RESTRICTED) -> KeyRing:
    return KeyRing(TopicKeys(MemoryLog(broker, "me"), CODEC, "keys"), MasterKeys.parse(MASTERS, up_to))


@pytest.fixture
def seals(broker: MemoryBroker) -> Seals:
    return Seals(ring(broker), Clearance.CONFIDENTIAL, HASHES)


def event(*headers: tuple[str, bytes]) -> Record:
    return Record("aios.tasks.a", 0, 0, 0, None, b"{}", list(headers))


def answered(key: DataKey | None, content: str | None, error: StepFailure | None = None) -> JournalRecord:
    parts = sealed_answer(key, "t/1", content, error)
    outcome = Outcome.OK if error is None else Outcome.FAILED
    return JournalRecord("t", 0, "1", "h", JournalKind.ANSWER, outcome, **parts._asdict())


def test_a_subject_travels_as_its_hash(seals: Seals) -> None:
    assert seals.admitted(GRANTED, event((CE_SUBJECT, b"ana"))).subject == HASHES.subject("acme", "ana")
    hashed = HASHES.subject("acme", "ana")
    assert seals.admitted(GRANTED, event((CE_SUBJECT, f"keyed:{hashed}".encode()))).subject == hashed
    assert seals.admitted(GRANTED, event((CE_SUBJECT, b"keyed:ana"))).subject == HASHES.subject("acme", "keyed:ana")
    assert seals.admitted(GRANTED, event()).subject is None
    inside = event((GRANT, GRANTED.encode()), (CE_SUBJECT, b"ana"))
    assert seals.admitted(GRANTED, inside).subject is None, "inside the mesh the grant says it"
    assert NO_SEALS.admitted(GRANTED, event((CE_SUBJECT, b"ana"))) is GRANTED
    with pytest.raises(MalformedHeader, match="not UTF-8"):
        seals.admitted(GRANTED, event((CE_SUBJECT, b"\xff")))


async def test_a_task_has_its_keys_when_it_is_admitted(seals: Seals) -> None:
    with pytest.raises(UnresolvedKey) as missing:
        seals.keys(GRANTED, Clearance.PUBLIC, NOW)
    await fetching(CODEC.store, missing.value)
    keys = seals.keys(GRANTED, Clearance.PUBLIC, NOW)
    assert sorted(keys.keys) == [Clearance.CONFIDENTIAL, Clearance.RESTRICTED]
    assert NO_SEALS.keys(GRANTED, Clearance.RESTRICTED, NOW) is PLAIN
    assert Seals(seals.ring, None, HASHES).keys(GRANTED, Clearance.RESTRICTED, NOW) is PLAIN


async def test_a_journal_record_is_opened_for_its_task(seals: Seals) -> None:
    assert seals.ring is not None
    key = await seals.ring.obtain(OWNER)
    failure = StepFailure("ToolFailed", "the words", retryable=False)
    assert seals.opened(answered(key, '"hi"')) == answered(None, '"hi"')
    assert seals.opened(answered(key, None, failure)) == answered(None, None, failure)
    assert seals.opened(answered(None, '"hi"')) == answered(None, '"hi"')


async def test_what_cannot_be_opened(broker: MemoryBroker, seals: Seals) -> None:
    assert seals.ring is not None
    key = await seals.ring.obtain(OWNER)
    sealed = answered(key, '"hi"')
    blind = Seals(ring(broker, Clearance.PUBLIC))
    await blind.resolve([sealed.content, None, "plain", b"bytes"])
    assert blind.opened(sealed) is sealed, "its task is stuck until a worker has the key"
    assert NO_SEALS.opened(sealed) is sealed
    moved = JournalRecord("t", 0, "2", "h", JournalKind.ANSWER, Outcome.OK, None, content=sealed.content)
    assert (seals.opened(moved).error or failure_of("")).type == "RecordRejected"
    await seals.ring.shred(OWNER.tenant, None)
    gone = seals.opened(sealed)
    assert (gone.outcome, gone.content, gone.error and gone.error.type) == (Outcome.FAILED, None, "ContentShredded")


def failure_of(kind: str) -> StepFailure:
    return StepFailure(kind, "", retryable=False)


async def test_the_journal_in_a_carry_is_made_ready(broker: MemoryBroker, seals: Seals) -> None:
    assert seals.ring is not None
    sealed = answered(await seals.ring.obtain(OWNER), '"hi"')
    elsewhere = Seals(ring(broker), Clearance.CONFIDENTIAL, HASHES)
    await elsewhere.resolve_entries(CODEC, [CarryEntry(1, 1, CODEC.encode(sealed))])
    assert elsewhere.opened(sealed).content == '"hi"'
    await NO_SEALS.resolve_entries(CODEC, [CarryEntry(1, 1, b"not even read")])


async def test_values_of_events_and_states(seals: Seals) -> None:
    assert seals.ring is not None
    key = await seals.ring.obtain(OWNER)
    assert seals.value("t", b'{"a": 1}') == b'{"a": 1}'
    assert seals.value("t", seal(key, TASK, "t", b'{"a": 1}')) == b'{"a": 1}'
    with pytest.raises(NoKey, match=r"set \[sealing\]"):
        NO_SEALS.value("t", seal(key, TASK, "t", b"{}"))
    body = seal(key, STATE, state_place("k", 7), b"state")
    assert seals.state("k@7", body) == b"state"
    await seals.ring.shred(OWNER.tenant, None)
    assert seals.state("k@7", body) is None


async def test_a_state_whose_key_is_shredded_begins_anew(seals: Seals) -> None:
    assert seals.ring is not None
    key = await seals.ring.obtain(OWNER)
    schemas = AgentSchemas("keeper", str, str, state_type=Kept)
    store = SchemaStore()
    await schemas.register(store)
    setup: Any = SimpleNamespace(schemas=schemas, codec=Codec(store), seals=seals)
    assert schemas.state is not None
    plain = schemas.state.encode(setup.codec, StateRecord("k", 7, -1, StateChange(Kept(["a secret"]))))
    change = StateChange(None, seal(key, STATE, state_place("k", 7), plain), key.id, Clearance.CONFIDENTIAL)
    sealed = schemas.state.encode(setup.codec, StateRecord("k", 7, 9, change))
    assert b"a secret" not in sealed
    found = opened_state(setup, Kept, sealed)
    assert found.get() == Kept(["a secret"])
    assert found.change(schemas.state, setup.codec, Clearance.CONFIDENTIAL) is None, "it is what it was"
    await seals.ring.shred(OWNER.tenant, None)
    assert opened_state(setup, Kept, sealed).get() == Kept()


async def test_a_prompt_is_sealed_as_the_whole_request(seals: Seals) -> None:
    assert seals.ring is not None
    await seals.ring.obtain(OWNER)
    with pytest.raises(UnresolvedKey) as missing:
        seals.keys(GRANTED, Clearance.PUBLIC, NOW)
    await settled_soon(missing.value)
    keys = seals.keys(GRANTED, Clearance.PUBLIC, NOW)
    body = ModelRequest("t/1", "t", "t", "1", "a", Prompt((Message(Role.USER, "hi"),), None, 10))
    assert sealed_prompt(CODEC, keys, Clearance.INTERNAL, body) is body
    sealed = sealed_prompt(CODEC, keys, Clearance.CONFIDENTIAL, body)
    key = keys.keys[Clearance.CONFIDENTIAL]
    assert sealed.content_key_id == key.id
    assert isinstance(sealed.content, bytes)
    assert CODEC.decode_as(ModelRequest, open_sealed(key, PROMPT, "t/1", sealed.content)) == body


async def test_waiting_for_keys_goes_on_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.agents.worker.sealing._RETRY_S", 0)
    left = [KeysUnavailable("away"), KeysUnavailable("away")]

    async def resolved() -> None:
        if left:
            raise left.pop()

    await settled_soon(UnresolvedKey("k", resolved))
    assert not left


async def test_a_schema_is_fetched_from_its_store() -> None:
    class Store:
        async def resolve(self, schema_id: int) -> int:
            return schema_id

    assert await fetching(Store(), UnresolvedSchema(7)) == 7  # type: ignore[arg-type]
