"""How a task ends: result, answer to who asked, offset; and the same again (protocol rules 3, 4 and 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context
from aiosv3.agents.facts import Finish
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Outcome
from aiosv3.streams.log import Headers, Outgoing
from aiosv3.streams.tenure import Phase

if TYPE_CHECKING:
    from tests.agents.conftest import Stage


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def echoes(_ctx: Context, value: str) -> str:
    return value


def reply_headers(step: str = "4") -> Headers:
    """What a task has that another agent gave."""
    route = Route("parent", "auto", 0, 0, hash="cafe", first_sent=1)
    grant = Grant("acme", "root", Clearance.INTERNAL, depth=2)
    reply = Reply("aios.journal.child", 0, 11, "parent-task", step, "token")
    return [(GRANT, grant.encode()), (ROUTE, route.encode()), (REPLY, reply.encode())]


@pytest.mark.parametrize("restarted", [False, True])
def test_rule_14_a_duplicate_of_an_answered_request_is_answered_again(stage: Stage, restarted: bool) -> None:
    worker = stage.worker(echoes).start()
    stage.task("t1", "first", headers=reply_headers())
    stage.settle()
    if restarted:
        worker.kill()
        worker = stage.worker(echoes, "b").start()
    stage.task("t1", "first", headers=reply_headers())
    stage.run(lambda: len(stage.journal("child")) >= 2)
    answers = stage.journal("child")
    assert {(a.task_id, a.task_offset, a.step_id, a.token, a.request_hash, a.content) for a in answers} == {
        ("parent-task", 11, "4", "token", "cafe", '"first"')
    }
    assert len(stage.results(worker)) == 1


def test_rule_04_the_first_result_on_the_own_log_is_what_the_asker_hears(stage: Stage) -> None:
    """A worker that was replaced, and does not know it yet, wrote a result a moment before."""
    worker = stage.worker(asks).start()
    stage.task("t1", headers=reply_headers())
    stage.settle()
    live = worker.tenure.live["t1"]
    theirs = Finish(Outcome.OK, 1, 0, "theirs")
    results = stage.wire.hold("append", "aios.results.worker")
    stage.answer(stage.prompts()[0], "mine")
    stage.settle()
    stage.broker.append(worker.tenure._sender.messages.result(live.record, live.task, live.run, theirs))
    results.release()
    stage.settle()
    assert [result.content for result in stage.results(worker)] == ["theirs", "mine"]
    assert [record.content for record in stage.journal("child")] == ['"theirs"']
    assert worker.tenure.offsets.base == 1


def test_a_result_that_cannot_be_read_again_stops_the_partition_in_words(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.task("t1", headers=reply_headers())
    stage.settle()
    worker.kill()
    headers = stage.broker.records("aios.results.worker", 0)[0].headers
    stage.broker.truncate("aios.results.worker", 0, 1)
    stage.broker.append(Outgoing("aios.results.worker", 0, None, b"garbage", headers))
    second = stage.worker(echoes, "b").start()
    stage.task("t1", headers=reply_headers())
    stage.settle()
    assert second.tenure.phase is Phase.STOPPED
    assert second.tenure.reason.startswith("MalformedValue: ")
