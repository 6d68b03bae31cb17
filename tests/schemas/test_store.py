from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiosv3.schemas import store
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from aiosv3.schemas.fingerprints import FIRST_MINTED, LAST_MINTED, Schema, fingerprint, minted_id
from aiosv3.schemas.records import PoolState, PoolStatus
from aiosv3.schemas.released import source_schema
from aiosv3.schemas.store import SchemaStore, UnregisteredSubject, UnresolvedSchema

STATUS = PoolStatus("p", "r", PoolState.UP, "vllm", "m", "internal", 1, 2, None, 0, None, 5)


def ticket(*more: dict[str, Any]) -> Schema:
    return {"type": "record", "name": "Ticket", "fields": [{"name": "id", "type": "string"}, *more]}


URGENT = {"name": "urgent", "type": "boolean", "default": False}


class FakeRegistry:
    """Numbers schemas from 1; ``down`` makes it silent."""

    def __init__(self) -> None:
        self.schemas: list[Schema] = []
        self.asked = 0
        self.down = False

    async def register(self, subject: str, schema: Schema) -> int:
        self._answer()
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    async def schema(self, schema_id: int) -> Schema:
        self._answer()
        await asyncio.sleep(0)
        if schema_id > len(self.schemas):
            raise UnknownSchema(str(schema_id))
        return self.schemas[schema_id - 1]

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise RegistryUnavailable("down")


async def test_without_a_registry_ids_are_minted_alike_everywhere(tmp_path: Path) -> None:
    one, other = SchemaStore(tmp_path / "a.json"), SchemaStore(tmp_path / "b.json")
    first = await one.register("t-value", ticket())
    assert first == await other.register("other-value", {**ticket(), "doc": "Words do not count."})
    assert FIRST_MINTED <= first < LAST_MINTED
    assert first == minted_id(ticket())


async def test_the_lock_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "project" / "aiosv3.lock.json"
    store = SchemaStore(path)
    ids = [await store.register("t-value", ticket()), await store.register("t-value", ticket(URGENT))]
    again = SchemaStore(path)
    assert again.subject_id("t-value") == ids[1]
    assert [again.schema(number) for number in ids] == [ticket(), ticket(URGENT)]
    assert [entry["id"] for entry in json.loads(path.read_text())["subjects"]["t-value"]] == ids
    assert set(path.parent.iterdir()) == {path, path.with_suffix(".guard")}


async def test_registering_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    store = SchemaStore(path)
    first = await store.register("t-value", ticket())
    text = path.read_text()
    assert await store.register("t-value", ticket()) == first
    assert path.read_text() == text


async def test_a_version_that_comes_back_is_the_newest_again() -> None:
    store = SchemaStore()
    first = await store.register("t-value", ticket())
    await store.register("t-value", ticket(URGENT))
    assert await store.register("t-value", ticket()) == first
    assert store.subject_id("t-value") == first


async def test_a_breaking_schema_is_refused_and_not_kept() -> None:
    store = SchemaStore()
    first = await store.register("t-value", ticket())
    with pytest.raises(IncompatibleSchema, match=r"t-value: level: a field without default was added"):
        await store.register("t-value", ticket({"name": "level", "type": "int"}))
    assert store.subject_id("t-value") == first


async def test_two_schemas_that_mint_the_same_id_get_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.schemas.store.minted_id", lambda schema: FIRST_MINTED)
    store = SchemaStore()
    assert [await store.register("a", ticket()), await store.register("b", ticket(URGENT))] == [
        FIRST_MINTED,
        FIRST_MINTED + 1,
    ]


async def test_what_another_process_registered_since_is_resolved_from_the_lock(tmp_path: Path) -> None:
    reader, writer = SchemaStore(tmp_path / "lock.json"), SchemaStore(tmp_path / "lock.json")
    number = await writer.register("t-value", ticket())
    with pytest.raises(UnresolvedSchema):
        reader.schema(number)
    await reader.resolve(number)
    assert reader.schema(number) == ticket()


async def test_both_processes_stay_in_the_lock(tmp_path: Path) -> None:
    one, other = SchemaStore(tmp_path / "lock.json"), SchemaStore(tmp_path / "lock.json")
    await one.register("a-value", ticket())
    await other.register("b-value", ticket(URGENT))
    assert set(json.loads((tmp_path / "lock.json").read_text())["subjects"]) == {"a-value", "b-value"}


async def test_without_a_registry_an_id_that_nobody_has_is_unknown() -> None:
    with pytest.raises(UnknownSchema, match="no registry is configured"):
        await SchemaStore().resolve(7)


async def test_the_registry_numbers_and_is_asked_once() -> None:
    registry = FakeRegistry()
    await registry.register("other-value", ticket(URGENT))
    store = SchemaStore(registry=registry)
    assert await store.register("t-value", ticket()) == 2
    registry.asked = 0
    await asyncio.gather(*(store.resolve(1) for _ in range(5)))
    assert registry.asked == 1
    assert store.schema(1) == ticket(URGENT)


async def test_unknown_is_not_unavailable() -> None:
    registry = FakeRegistry()
    store = SchemaStore(registry=registry)
    with pytest.raises(UnknownSchema):
        await store.resolve(9)
    registry.down = True
    with pytest.raises(RegistryUnavailable):
        await store.resolve(9)


async def test_a_silent_registry_is_no_obstacle_to_what_it_has_numbered(tmp_path: Path) -> None:
    registry = FakeRegistry()
    path = tmp_path / "lock.json"
    number = await SchemaStore(path, registry).register("t-value", ticket())
    registry.down = True
    store = SchemaStore(path, registry)
    assert await store.register("t-value", ticket()) == number
    with pytest.raises(RegistryUnavailable):
        await store.register("t-value", ticket(URGENT))


async def test_minted_ids_are_used_only_until_the_registry_answers(tmp_path: Path) -> None:
    """A worker whose log holds values under a minted id starts while the registry is away; then its ids are used."""
    registry = FakeRegistry()
    path = tmp_path / "lock.json"
    minted = await SchemaStore(path).register("t-value", ticket())
    registry.down = True
    store = SchemaStore(path, registry)
    assert await store.register("t-value", ticket()) == minted
    registry.down = False
    assert await store.register("t-value", ticket()) == store.subject_id("t-value") == 1
    assert store.schema(minted) == ticket()


async def test_records_are_written_under_the_registrys_id_once_they_are_registered() -> None:
    store = SchemaStore(registry=FakeRegistry())
    codec = Codec(store)
    released = codec.decode(codec.encode(STATUS)).schema_id
    number = await store.register("pools-value", source_schema("PoolStatus"))
    value = codec.encode(STATUS)
    assert codec.decode(value).schema_id == number != released
    assert codec.decode_as(PoolStatus, value) == STATUS


async def test_without_a_registry_records_keep_their_released_id() -> None:
    store = SchemaStore()
    assert await store.register("pools-value", source_schema("PoolStatus")) == store.released_id("aiosv3.PoolStatus")


def test_a_subject_that_nobody_registered() -> None:
    with pytest.raises(UnregisteredSubject):
        SchemaStore().subject_id("t-value")


def test_processes_that_register_at_once_lose_nothing(tmp_path: Path) -> None:
    """The workers of a project start together and share its lock file."""
    path = tmp_path / "lock.json"
    program = (
        "import asyncio, sys; from pathlib import Path; from aiosv3.schemas.store import SchemaStore; "
        "schema = {'type': 'record', 'name': sys.argv[2], 'fields': []}; "
        "asyncio.run(SchemaStore(Path(sys.argv[1])).register(sys.argv[2] + '-value', schema))"
    )
    names = [f"T{number}" for number in range(6)]
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in names]
    assert [process.wait(60) for process in running] == [0] * len(names)
    store = SchemaStore(path)
    assert all(store.subject_id(f"{name}-value") for name in names)


async def test_what_is_known_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker registers a dozen subjects at its start, and a lock file may hold hundreds."""
    path = tmp_path / "lock.json"
    writer = SchemaStore(path)
    for name in ("a", "b", "c"):
        await writer.register(f"{name}-value", {**ticket(), "name": name})
    reader = SchemaStore(path)
    await reader.register("a-value", {**ticket(), "name": "a"})
    hashed: list[str] = []

    def counted(schema: Schema) -> str:
        hashed.append(schema["name"])
        return fingerprint(schema)

    monkeypatch.setattr(store, "fingerprint", counted)
    await reader.register("a-value", {**ticket(), "name": "a"})
    assert hashed == ["a"]
