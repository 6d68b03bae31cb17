"""Who owned a journal partition when a record landed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.agents.worker.ownership import MARK_EVERY, PATCHES, Ownership, patches_header, patches_in
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

OLD: frozenset[str] = frozenset()
NEW = frozenset({"a", "b"})


def marker(*headers: tuple[str, bytes]) -> Record:
    return Record("journal", 0, 7, 0, None, None, list(headers))


def test_markers_say_which_patches_their_owner_knows() -> None:
    assert patches_header(NEW) == [(PATCHES, b"a,b")]
    assert patches_in(marker(*patches_header(NEW))) == NEW
    assert patches_header(OLD) == []
    assert patches_in(marker()) == patches_in(marker((PATCHES, b""))) == OLD


@pytest.mark.parametrize(
    ("offset", "known"), [(0, OLD), (5, OLD), (6, NEW), (9, NEW), (10, NEW), (11, OLD), (1_000, OLD)]
)
def test_the_last_marker_below_a_record_counts(offset: int, known: frozenset[str]) -> None:
    ownership = Ownership()
    ownership.owned(5, NEW)
    ownership.owned(10, OLD)
    assert ownership.at(offset) == known


def test_the_floor_keeps_the_marker_in_force_and_drops_older_ones() -> None:
    ownership = Ownership()
    assert ownership.floor(3) == 3
    for offset in (5, 10, 20):
        ownership.owned(offset, NEW)
    assert [ownership.floor(offset) for offset in (4, 5, 19)] == [4, 5, 10]
    assert ownership.at(11) == NEW
    assert ownership.at(7) == OLD, "dropped: nothing is read from there any more"
    assert ownership.floor(25) == 20


def test_owners_of_agents_with_patches_mark_again(stage: Stage) -> None:
    async def program(ctx: object, word: str) -> str:
        return word

    for patches, more in ((frozenset[str](), 0), (NEW, 1)):
        worker = stage.worker(program, process=f"w{more}", patches=patches).start()
        tenure = worker.tenure
        before = _markers(stage)
        tenure._journal.bytes += MARK_EVERY + 1
        for _ in range(3):
            stage.cancel("somebody")
            stage.settle()
        assert _markers(stage) - before == more
        assert tenure.epoch == max(_offsets(stage))
        worker.kill()


def _offsets(stage: Stage) -> list[int]:
    records = stage.broker.records(stage.topics.journal("worker"), 0)
    return [record.offset for record in records if record.value is None]


def _markers(stage: Stage) -> int:
    return len(_offsets(stage))
