"""The events of ``start``: an outsider's, so that the tree has limits of its own; and its handle in the journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context
from aiosv3.schemas.headers import Clearance, Route
from aiosv3.schemas.records import JournalKind
from aiosv3.streams.log import Headers

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENT: Headers = [
    ("ce_tenant", b"acme"),
    ("ce_dataregions", b"eu,ch"),
    ("ce_dataterms", b"no_training"),
    ("ce_authid", b"zoe"),
    ("ce_costlimitusd", b"0.0001"),
    ("ce_priority", b"7"),
    ("ce_stream", b"1"),
    ("traceparent", TRACE),
]


async def starts(ctx: Context, value: str) -> str:
    await ctx.start("child", value, task_id="own", max_usd="2.5")
    return await ctx.start("child", value, task_id="second", key="chosen")


def test_an_event_as_from_outside(stage: Stage) -> None:
    worker = stage.worker(starts, clearance=Clearance.CONFIDENTIAL).start()
    offset = stage.task("t1", "life", headers=SENT)
    stage.settle()
    first, second = stage.children()
    fields = {name: value.decode() for name, value in first.headers}
    route = Route.decode(fields.pop("aios-route").encode())
    assert fields == {
        "ce_id": "own",
        "ce_source": f"aios.tasks.worker/0/{offset}",
        "ce_type": "aiosv3.task.child",
        "ce_specversion": "1.0",
        "content-type": "application/json",
        "traceparent": TRACE.decode(),
        "ce_tenant": "acme",
        "ce_dataclassification": "confidential",
        "ce_dataregions": "eu,ch",
        "ce_dataterms": "no_training",
        "ce_costlimitusd": "2.5",
        "ce_authid": "zoe",
    }
    assert (route.priority, route.first_sent, route.stream) == (7, first.timestamp, None)
    assert (first.key, first.value) == (b"own", b'"life"')
    assert second.key == b"chosen"
    assert second.header("ce_costlimitusd") is None
    assert [result.content for result in stage.results(worker)] == ["child:0:second"]


def test_its_own_tree_has_its_own_limits_and_outlives_a_cancel(stage: Stage) -> None:
    async def starts_and_waits(ctx: Context, value: str) -> str:
        await ctx.start("child", value, task_id="own")
        return await ctx.receive("never", str)

    parent = stage.worker(starts_and_waits).start()

    async def asks(ctx: Context, value: str) -> str:
        return await ctx.generate(value)

    child = stage.worker(asks, name="child").start()
    stage.task("t1", headers=SENT)
    stage.settle()
    stage.cancel("t1")
    stage.settle()
    (request,) = stage.prompts()
    grant = json.loads(request.header("aios-grant") or b"")
    assert (grant["root"], grant["depth"], grant["usd_micros"]) == ("own", 1, 1_000_000)
    assert (grant["tenant"], grant["by"]) == ("acme", "zoe")
    assert [result.outcome.value for result in stage.results(parent)] == ["CANCELLED"]
    assert list(child.tenure.live) == ["own"]


@pytest.mark.parametrize("days", [0, 3])
def test_a_copy_from_after_an_outage_is_known_for_one(stage: Stage, days: int) -> None:
    """The event is on the log, its note is not: it is sent again, however late, and done once."""
    first = stage.worker(starts).start()
    child = stage.worker(lambda _ctx, value: _echo(value), name="child").start()
    held = stage.wire.hold("append", stage.topics.journal("worker"))
    stage.task("t1")
    stage.settle()
    held.release()
    held = stage.wire.hold("ack", stage.topics.tasks("child"))
    stage.settle()
    assert len(stage.children()) == 1
    first.kill()
    child.kill()
    held.release()
    stage.now += days * 86_400
    stage.worker(starts, "b").start()
    child = stage.worker(lambda _ctx, value: _echo(value), "child-b", name="child").start()
    stage.settle()
    assert [record.header("ce_id") for record in stage.children()] == [b"own", b"own", b"second"]
    assert [result.task_id for result in stage.results(child)] == ["own", "second"]
    noted = [r.content for r in stage.journal() if r.kind is JournalKind.VALUE]
    assert noted == ['"child:0:own"', '"child:0:second"']


async def _echo(value: str) -> str:
    return value
