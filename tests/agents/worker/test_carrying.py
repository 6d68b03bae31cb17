"""Carries that are too large for a record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aiosv3.agents import Context
from aiosv3.schemas.records import Carry, Outcome
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.errors import ClaimsUnavailable

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

JOURNAL = "aios.journal.worker"


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


def carries(stage: Stage) -> list[Carry]:
    return [record.carry for record in stage.journal() if record.carry is not None]


def parking(stage: Stage, claims: ClaimStore | None, **policy: int) -> Worker:
    worker = stage.worker(asks).squeezed(after=1.0, **policy)
    worker.setup = replace(worker.setup, claims=claims)
    return worker.start()


class Unavailable:
    """Fails so many times."""

    def __init__(self, inner: ClaimStore, times: int) -> None:
        self.inner = inner
        self.times = times

    async def put(self, content: bytes) -> str:
        self.times -= 1
        if self.times >= 0:
            raise ClaimsUnavailable("not now")
        return await self.inner.put(content)

    async def get(self, claim: str) -> bytes:
        return await self.inner.get(claim)


def test_a_small_carry_travels_whole(stage: Stage) -> None:
    parking(stage, stage.claims)
    stage.task("t1")
    stage.advance(2.5)
    assert [carry.claim for carry in carries(stage)] == [None]
    assert stage.claims.stored == {}


def test_only_the_claim_of_a_large_carry_travels(stage: Stage) -> None:
    worker = parking(stage, stage.claims)
    stage.task("t1", "x" * 600_000)
    stage.advance(2.5)
    (carry,) = carries(stage)
    assert list(stage.claims.stored) == [carry.claim]
    assert max(len(record.value or b"") for record in stage.broker.records(JOURNAL, 0)) < 1_000
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]


def test_rule_23_a_claim_is_stored_before_its_carry_is_written(stage: Stage) -> None:
    worker = parking(stage, Unavailable(stage.claims, 2), inline=100)
    stage.task("t1")
    stage.advance(5)
    assert carries(stage) == []
    assert worker.tenure.offsets.base == 0
    stage.advance(10)
    assert [carry.claim for carry in carries(stage)] == list(stage.claims.stored)
    assert worker.tenure.offsets.base == 1


def test_a_carry_that_does_not_fit_leaves_its_task_open_and_awake(stage: Stage) -> None:
    """Without a claim store the broker's limit is the limit: the task holds the base back, and goes on."""
    worker = parking(stage, None)
    stage.task("t1")
    stage.settle()
    stage.limit_bytes(JOURNAL, 300)
    stage.advance(5)
    assert carries(stage) == []
    assert (list(worker.tenure.live), worker.tenure.offsets.base) == (["t1"], 0)
    stage.limit_bytes(JOURNAL, 1_000_000)
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]


def test_nothing_is_written_after_the_end(stage: Stage) -> None:
    worker = parking(stage, Unavailable(stage.claims, 1), inline=100)
    stage.task("t1")
    stage.advance(2.5)
    worker.tenure.stop("evicted")
    stage.advance(10)
    assert carries(stage) == []
