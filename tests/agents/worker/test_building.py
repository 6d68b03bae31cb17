"""Tasks out of events and out of carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context
from aiosv3.agents.worker.building import Building
from aiosv3.agents.worker.carry import carry_in
from aiosv3.schemas.errors import WireError
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


def building(worker: Worker) -> Building:
    return Building(worker.setup, worker.wiring.input_topic, 0, None)


def test_a_task_from_its_carry_is_the_task_from_its_event(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=1.0).start()
    headers = [("ce_tenant", b"acme"), ("ce_dataclassification", b"restricted"), ("ce_costlimitusd", b"0.5")]
    offset = stage.task("t1", "question", "key", headers=headers)
    stage.advance(2.5)
    (parked,) = worker.tenure._table
    builds = building(worker)
    live = builds.revive(parked, carry_in(worker.setup.codec, parked.body or b""))
    event = stage.broker.records("aios.tasks.worker", 0)[offset]
    assert live.record == event
    assert live.task == builds.task(event, builds.identity(event))
    assert [entry.offset for entry in live.entries] == [entry.offset for entry in live.journal]
    assert (live.parked, live.own_upto, live.begun) == (parked, parked.own_upto, False)


def test_an_event_that_cannot_be_read_still_has_a_name(stage: Stage) -> None:
    builds = building(stage.worker(asks))
    event = Record("aios.tasks.worker", 0, 3, 0, b"k", b"{", [("ce_id", b"t1")])
    identity = builds.identity(event)
    with pytest.raises(WireError):
        builds.task(event, identity)
    live = builds.unreadable(event, identity, first_journal=9)
    assert (live.task.id, live.task.key, live.first_journal) == ("t1", "k", 9)
    assert live.rejected
    assert not live.settled, "it is not parked"
