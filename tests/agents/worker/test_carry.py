"""A parked task as a record, and back (protocol section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context
from aiosv3.agents.steps import TimerStep
from aiosv3.agents.worker.carry import (
    carry_in,
    carry_of,
    claimed,
    decode_entries,
    journal_record,
    schemas_of,
    task_record,
)
from aiosv3.agents.worker.live import LiveTask
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.records import CarryTimer, JournalKind, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Play, Stage

CODEC = Codec(SchemaStore())
EVENT = Record("tasks", 3, 7, 1_750_000_000_000, b"k", b'"in"', [("ce_id", b"t"), ("ce_tenant", b"acme")])


async def waits(ctx: Context, _value: str) -> str:
    async with asyncio.timeout(5):
        return await ctx.generate("a")


def live_of(play: Callable[..., Play]) -> LiveTask:
    one = play(waits)
    one.started()
    live = LiveTask(EVENT, one.task, one.run, 0, begun=True)
    for entry in one.journal:
        live.came(entry._replace(value=CODEC.encode(entry.record)), 0.0)
    return live


def test_a_carry_is_read_back_whole(play: Callable[..., Play]) -> None:
    live = live_of(play)
    carry = carry_of(live, "v2", upto=101, own_upto=12)
    value = CODEC.encode(journal_record("t", 7, carry))
    assert carry_in(CODEC, value) == carry
    assert task_record(carry, "tasks", 3, 7) == EVENT
    assert [entry[:3] for entry in decode_entries(carry.entries, CODEC)] == [
        (100, 1_750_000_001_000, JournalRecord("t", 7, None, None, JournalKind.STARTED, Outcome.OK, code_version="v1"))
    ]
    assert (carry.upto, carry.own_upto, carry.code_version, carry.resting) == (101, 12, "v1", "v2")


def test_a_carry_names_the_timers_that_are_waited_for(stage: Stage, play: Callable[..., Play]) -> None:
    live = live_of(play)
    (timer,) = (step for step in live.run.waiting.values() if isinstance(step, TimerStep))
    assert carry_of(live, "v1", 0, 0).timers == (CarryTimer(timer.id, timer.hash, 1_750_000_005_000),)
    live.timers["deadline"] = stage.loop.call_later(60, print)
    assert len(carry_of(live, "v1", 0, 0).timers) == 1, "no deadline without an expiry time"


@pytest.mark.parametrize("what", ["sending", "unsent", "begun"])
def test_a_task_rests_only_when_nothing_of_it_is_on_its_way(play: Callable[..., Play], what: str) -> None:
    live = live_of(play)
    assert live.resting
    if what == "sending":
        live.sending = 1
    elif what == "unsent":
        live.unsent = list(live.run.waiting.values())
    else:
        live.begun = False
    assert carry_of(live, "v1", 0, 0).resting is None


def test_what_travels_in_place_of_a_large_carry_says_what_it_holds_back(play: Callable[..., Play]) -> None:
    carry = carry_of(live_of(play), "v1", 101, 12)
    thin = claimed(carry, "sha256:00")
    assert (thin.claim, thin.upto, thin.own_upto, thin.timers) == ("sha256:00", 101, 12, carry.timers)
    assert (thin.task_key, thin.task_value, thin.task_headers, thin.entries) == (None, None, (), ())
    assert len(CODEC.encode(journal_record("t", 7, thin))) < len(CODEC.encode(journal_record("t", 7, carry)))


def test_the_schemas_of_a_carry_are_those_of_its_values(play: Callable[..., Play]) -> None:
    carry = carry_of(live_of(play), "v1", 0, 0)
    journal = int.from_bytes(carry.entries[0].value[1:5], "big")
    assert schemas_of(carry) == {journal}, "plain JSON has none"


def test_a_record_that_holds_no_carry_is_said_to() -> None:
    record = JournalRecord("t", 7, None, None, JournalKind.CARRY, Outcome.OK)
    with pytest.raises(WireError, match="holds no carry"):
        carry_in(CODEC, CODEC.encode(record))
