from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiosv3.schemas import released
from aiosv3.schemas.compat import problems
from aiosv3.schemas.errors import IncompatibleSchema
from aiosv3.schemas.fingerprints import fingerprint
from aiosv3.schemas.released import FIRST_ID, RECORDS, load_lock, source_schema, write_lock

LOCK = load_lock()


@pytest.mark.parametrize("name", RECORDS)
def test_the_lock_equals_the_files(name: str) -> None:
    newest = [release for release in LOCK if release.name == f"aiosv3.{name}"][-1]
    assert newest.schema == source_schema(name), "run aiosv3.schemas.released.write_lock()"


def test_each_release_reads_all_before_it() -> None:
    for release in LOCK:
        older = [other for other in LOCK if other.name == release.name and other.version < release.version]
        assert [list(problems(release.schema, other.schema)) for other in older] == [[] for _ in older]


def test_nothing_released_was_edited() -> None:
    assert [release.id for release in LOCK] == list(range(FIRST_ID, FIRST_ID + len(LOCK)))
    assert all(fingerprint(release.schema) == release.fingerprint for release in LOCK)


def test_a_lock_that_is_up_to_date_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    assert write_lock(path) == write_lock(path)
    assert json.loads(path.read_text())["v"] == 1


def test_a_change_is_a_new_version_and_a_breaking_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock.json"
    first = write_lock(path)
    changed = source_schema("PoolStatus")

    def source(name: str) -> object:
        return changed if name == "PoolStatus" else source_schema(name)

    monkeypatch.setattr(released, "source_schema", source)
    changed["doc"] = "Other words."
    assert [release[:4] for release in write_lock(path)] == [release[:4] for release in first]

    changed["fields"].append({"name": "zone", "type": "string", "default": ""})
    second = write_lock(path)
    assert second[: len(first)] != first
    assert (second[-1].name, second[-1].version, second[-1].id) == ("aiosv3.PoolStatus", 2, FIRST_ID + len(first))

    before = path.read_bytes()
    changed["fields"].append({"name": "rack", "type": "string"})
    with pytest.raises(IncompatibleSchema) as caught:
        write_lock(path)
    assert (caught.value.field, caught.value.rule) == ("rack", "a field without default was added")
    assert path.read_bytes() == before
