"""A subject is forgotten while tasks about it are open: they end, and none of them seals its content anew."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Order
from aiosv3.agents.worker.sealing import Seals
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import CE_SUBJECT, Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.schemas.records import JournalKind, ModelRequest, Outcome
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.keys import KeyRing, MasterKeys, TopicKeys, new_master_keys
from aiosv3.streams.testing import MemoryLog

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

KEYS = "aios.keys"
MASTERS = MasterKeys.parse(new_master_keys())
HASHES = KeyedHashes(b"secret")
ANA = [(CE_SUBJECT, b"ana")]
TENANT, SUBJECT = HASHES.tenant("default"), HASHES.subject("default", "ana")


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def sleeps(_ctx: Context, value: str) -> str:
    await asyncio.sleep(60)
    return value


class Sealed:
    """A stage whose workers seal everything."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.broker.create_topic(KEYS, 1)
        self.operator = self.ring(MemoryLog(stage.broker, "operator"))

    def ring(self, log: MemoryLog) -> KeyRing:
        return KeyRing(TopicKeys(log, Codec(self.stage.store), KEYS), MASTERS, self.stage.clock_ms)

    def worker(
        self, program: Any = asks, name: str = "a", since: Clearance | None = Clearance.PUBLIC, **settings: Any
    ) -> Worker:
        made = self.stage.worker(program, name, **settings)
        ring = self.ring(made.log)
        self.stage.finish(ring.refresh())
        made.setup = replace(made.setup, seals=Seals(ring, since, HASHES))
        return made

    def next(self, worker: Worker, program: Any = asks, **settings: Any) -> Worker:
        """kill -9, and a worker in its place."""
        worker.kill()
        made = self.worker(program, "b", **settings).start()
        self.stage.advance(2)
        return made

    def shred(self) -> list[str]:
        self.stage.advance(1)  # the broker's clock is all that tells before from after
        gone: list[str] = self.stage.finish(self.operator.shred(TENANT, SUBJECT))
        self.stage.advance(1)
        return gone

    def heard(self, worker: Worker) -> None:
        """Within a second in life: the ring reads on."""
        assert worker.setup.seals.ring is not None
        self.stage.finish(worker.setup.seals.ring.refresh())
        self.stage.settle()

    def alive(self) -> list[str]:
        """Ids of the subject's keys that open something."""
        return [
            key.key_id
            for key in self.stage.finish(self.operator.keys())
            if key.subject == SUBJECT and key.kind is not KeyKind.SHREDDED
        ]

    def prompted(self) -> list[str | None]:
        """By which key each prompt is sealed."""
        return [
            self.stage.codec.decode_as(ModelRequest, one.value or b"").content_key_id for one in self.stage.prompts()
        ]

    def ended(self, worker: Worker) -> list[tuple[str, Outcome, str | None]]:
        found = self.stage.results(worker)
        return [(one.task_id, one.outcome, None if one.error is None else one.error.type) for one in found]


@pytest.fixture
def sealed(stage: Stage) -> Sealed:
    return Sealed(stage)


CLASSES = 3
"""Internal, which the tasks are, and those above."""
GONE = (Outcome.CANCELLED, "SubjectForgotten")


def test_a_task_that_was_started_before_gets_no_other_key(stage: Stage, sealed: Sealed) -> None:
    """Killed before it hears of it, as the next worker reads the same plain event."""
    worker = sealed.worker().start()
    stage.task("old", headers=ANA)
    stage.task("other")
    stage.settle()
    before = sealed.prompted()
    assert len(sealed.shred()) == CLASSES
    worker = sealed.next(worker)
    assert sealed.ended(worker) == [("old", *GONE)]
    assert sealed.alive() == []
    assert set(sealed.prompted()) == set(before), "nothing is sealed anew"
    assert stage.dead() == [], "a dead letter would keep its plain event"
    stage.task("new", headers=ANA)
    stage.settle()
    assert len(sealed.alive()) == CLASSES
    assert sealed.prompted()[-1] in sealed.alive()


def test_a_worker_that_hears_of_it_cancels_through_the_journal(stage: Stage, sealed: Sealed) -> None:
    worker = sealed.worker().start()
    stage.task("old", headers=ANA)
    stage.task("other")
    stage.settle()
    sealed.shred()
    sealed.heard(worker)
    assert sealed.ended(worker) == [("old", *GONE)]
    (cancel,) = [one for one in stage.journal() if one.kind is JournalKind.CANCEL]
    assert (cancel.task_id, cancel.error and cancel.error.type) == ("old", "SubjectForgotten")
    sealed.heard(worker)
    stage.task("old", headers=ANA)  # its copy is answered from the own log
    worker = sealed.next(worker)
    assert sealed.ended(worker) == [("old", *GONE)]
    assert sealed.alive() == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_parked_task_ends_too(stage: Stage, sealed: Sealed, killed: bool) -> None:
    worker = sealed.worker().squeezed(after=1.0).start()
    stage.task("old", headers=ANA)
    stage.advance(2.5)
    assert [one.asleep for one in worker.tenure._table] == [True]
    sealed.shred()
    if killed:
        worker = sealed.next(worker)
    else:
        sealed.heard(worker)
    assert sealed.ended(worker) == [("old", *GONE)]
    assert (list(worker.tenure._table), sealed.alive(), stage.dead()) == ([], [], [])


def test_one_that_nobody_had_begun_has_had_no_key_and_gets_none(stage: Stage, sealed: Sealed) -> None:
    stage.task("old", headers=ANA)
    assert sealed.shred() == []
    stage.task("new", headers=ANA)
    worker = sealed.worker().start()
    stage.settle()
    assert sealed.ended(worker) == [("old", *GONE)]
    assert [key is not None for key in sealed.prompted()] == [True]
    assert sealed.shred() != []
    sealed.heard(worker)
    stage.task("newest", headers=ANA)
    stage.settle()
    assert sealed.ended(worker) == [("old", *GONE), ("new", *GONE)]
    assert sealed.shred() != []
    assert sealed.shred() == []


def test_one_that_waits_behind_its_key_ends_in_its_turn(stage: Stage, sealed: Sealed) -> None:
    worker = sealed.worker(order=Order.SERIAL).start()
    stage.task("first")
    stage.task("old", headers=ANA)
    stage.task("last")
    stage.settle()
    sealed.shred()
    sealed.heard(worker)
    assert sealed.ended(worker) == []
    (prompt,) = stage.prompts()
    stage.answer(prompt)
    stage.settle()
    assert sealed.ended(worker)[1:] == [("old", *GONE)]
    assert stage.asked() == ["first/1", "last/1"]


def test_one_that_ends_before_its_worker_hears_of_it_says_nothing_that_can_be_read(
    stage: Stage, sealed: Sealed
) -> None:
    worker = sealed.worker(sleeps).squeezed(after=1.0).start()
    stage.task("old", headers=ANA)
    stage.advance(2.5)
    sealed.shred()
    stage.advance(100)  # this worker has not heard of it
    (result,) = stage.results(worker)
    assert result.sealed is not None
    assert sealed.alive() == [], "what it says is noise"


def test_a_worker_that_seals_nothing_ends_them_as_well(stage: Stage, sealed: Sealed) -> None:
    worker = sealed.worker(since=None).start()
    stage.task("old", headers=ANA)
    stage.settle()
    assert sealed.shred() == []
    worker = sealed.next(worker, since=None)
    assert sealed.ended(worker) == [("old", *GONE)]


def test_a_key_that_is_made_while_it_is_shredded_is_shredded_too(stage: Stage, sealed: Sealed) -> None:
    """Somebody's key for an old task lands between what the operator has read and what it writes."""
    late = sealed.worker().start()
    store = sealed.operator._store
    appended = store.append

    async def raced(records: list[KeyRecord]) -> None:
        store.append = appended  # type: ignore[method-assign]
        stage.task("old", headers=ANA)
        await asyncio.sleep(0.5)
        await appended(records)

    store.append = raced  # type: ignore[method-assign,assignment]
    stage.finish(sealed.operator.shred(TENANT, SUBJECT))
    assert sealed.alive() == []
    sealed.heard(late)
    assert sealed.ended(late) == [("old", *GONE)]
