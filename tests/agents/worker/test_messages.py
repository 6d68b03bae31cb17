"""The records that an agent worker appends: nine headers in order, keys, partitions, grants that only narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.schemas import headers as names
from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
from aiosv3.schemas.records import ModelRequest, Outcome
from aiosv3.streams.log import Headers, Record

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NINE = list(names.MESH_HEADERS)


async def program(ctx: Context, value: str) -> str:
    word = await ctx.generate(f"about {value}")
    ctx.send("child", "one way")
    return word + str(await ctx.call("child", value, key="chosen"))


def headers_of(record: Record) -> dict[str, bytes]:
    assert len({name for name, _ in record.headers}) == len(record.headers)
    return dict(record.headers)


@pytest.fixture
def given_task() -> Headers:
    """What an outsider says of the task."""
    return [("ce_costlimitusd", b"0.0001"), ("ce_tenant", b"acme"), ("ce_authid", b"zoe"), ("traceparent", TRACE)]


def test_a_model_request(stage: Stage, given_task: Headers) -> None:
    worker = stage.worker(program, clearance=Clearance.CONFIDENTIAL).start()
    offset = stage.task("t1", "life", headers=given_task)
    stage.settle()
    (request,) = stage.prompts()
    assert [name for name, _ in request.headers] == NINE
    fields = headers_of(request)
    assert fields["ce_id"] == b"t1/1"
    assert fields["ce_source"] == f"aios.tasks.worker/0/{offset}".encode()
    assert (fields["ce_type"], fields["ce_specversion"]) == (b"aiosv3.prompt", b"1.0")
    assert (fields["content-type"], fields["traceparent"]) == (b"application/avro", TRACE)
    assert request.key == b"t1", "by root, so that one router partition decides for the whole tree"
    body = stage.codec.decode_as(ModelRequest, request.value or b"")
    assert (body.request_id, body.root_id, body.task_id, body.step_id, body.agent) == (
        "t1/1",
        "t1",
        "t1",
        "1",
        "worker",
    )
    grant = Grant.decode(fields[names.GRANT])
    assert (grant.tenant, grant.root, grant.clearance, grant.usd_micros, grant.depth) == (
        "acme",
        "t1",
        Clearance.CONFIDENTIAL,
        100,
        1,
    )
    assert Route.decode(fields[names.ROUTE]).epoch == worker.tenure.epoch
    run = worker.tenure.live["t1"].run
    token = run.token(run.waiting["1"])
    assert Reply.decode(fields[names.REPLY]) == Reply("aios.journal.worker", 0, offset, "t1", "1", token)


def test_what_is_asked_for_the_data_goes_wherever_they_go(stage: Stage, given_task: Headers) -> None:
    asked: Headers = [("ce_dataregions", b"eu, ch"), ("ce_dataterms", b"no_training"), ("ce_routing", b"batch")]
    stage.worker(program).start()
    stage.task("t1", "life", headers=[*given_task, ("ce_type", b"shop.ticket"), *asked])
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    for record in (stage.prompts()[0], *stage.children()):
        grant = Grant.decode(headers_of(record)[names.GRANT])
        assert (grant.regions, grant.terms) == (("eu", "ch"), ("no_training",))
        assert (grant.workflow, grant.type, grant.label) == ("worker", "shop.ticket", "batch")


def test_tasks_for_other_agents(stage: Stage, given_task: Headers) -> None:
    worker = stage.worker(program, clearance=Clearance.CONFIDENTIAL).start()
    offset = stage.task("t1", "life", headers=given_task)
    stage.settle()
    stage.answer(stage.prompts()[0])  # costs 5 micro-dollars
    stage.settle()
    sent, called = stage.children()
    assert [name for name, _ in sent.headers] == NINE[:-1], "nobody waits for the answer"
    assert [name for name, _ in called.headers] == NINE
    assert (sent.key, sent.value, called.key, called.value) == (b"t1/2", b'"one way"', b"chosen", b'"life"')
    fields = headers_of(called)
    assert (fields["ce_id"], fields["ce_type"], fields["content-type"]) == (
        b"t1/3",
        b"aiosv3.task",
        b"application/json",
    )
    grant = Grant.decode(fields[names.GRANT])
    assert (grant.clearance, grant.usd_micros, grant.depth) == (Clearance.CONFIDENTIAL, 95, 2)
    assert grant.by == "zoe", "who started the tree cannot approve anywhere in it"
    route = Route.decode(fields[names.ROUTE])
    assert (route.agent, route.epoch) == ("worker", worker.tenure.epoch)
    assert route.first_sent == worker.tenure.live["t1"].run.now
    assert Reply.decode(fields[names.REPLY]).offset == offset
    assert Reply.decode(fields[names.REPLY]).step == "3"


@pytest.mark.parametrize("partition", [None, 3])
def test_who_follows_a_task_follows_its_models_and_those_that_it_waits_for(stage: Stage, partition: int | None) -> None:
    stage.worker(program).start()
    stage.task("t1", "life", headers=[] if partition is None else [("ce_stream", b"3")])
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    sent, called = stage.children()
    routes = [Route.decode(headers_of(record)[names.ROUTE]).stream for record in (stage.prompts()[0], sent, called)]
    assert routes == [partition, None, partition]
    assert [name for name, _ in called.headers] == NINE, "not a header more"


@pytest.mark.parametrize(("key", "expected"), [("k", b"k"), (None, b"t1")])
def test_a_result_is_keyed_as_its_task(stage: Stage, key: str | None, expected: bytes) -> None:
    async def echoes(_ctx: Context, value: str) -> str:
        return value

    stage.worker(echoes).start()
    offset = stage.task("t1", key=key, headers=[("traceparent", TRACE)])
    stage.settle()
    (record,) = stage.broker.records("aios.results.worker", 0)
    fields = headers_of(record)
    assert record.key == expected
    assert (fields["ce_id"], fields["ce_type"]) == (b"t1", b"aiosv3.result")
    assert fields["ce_source"] == f"aios.tasks.worker/0/{offset}".encode()
    assert Grant.decode(fields[names.GRANT]).root == "t1"
    assert fields["traceparent"] == TRACE


def test_an_answer_says_what_a_failed_child_cost_and_why(stage: Stage) -> None:
    async def fails(ctx: Context, value: str) -> str:
        await ctx.generate(value)
        raise ValueError("as planned")

    worker = stage.worker(fails).start()
    reply = Reply("aios.journal.child", 0, 4, "parent", "9", "secret token")
    route = Route("parent", "auto", 0, 0, hash="cafe", first_sent=1)
    stage.task("t1", headers=[(names.REPLY, reply.encode()), (names.ROUTE, route.encode())])
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    (answer,) = stage.journal("child")
    assert (answer.task_id, answer.task_offset, answer.step_id, answer.token) == ("parent", 4, "9", "secret token")
    assert (answer.outcome, answer.request_hash, answer.content) == (Outcome.FAILED, "cafe", None)
    assert answer.error is not None
    assert (answer.error.type, answer.error.message) == ("ValueError", "as planned")
    assert answer.usage is not None
    assert answer.usage.cost_usd_micros == 5
    (record,) = stage.broker.records("aios.journal.child", 0)
    assert record.key == b"parent"
    assert headers_of(record)["ce_source"] == b"aios.results.worker/0/0"
    assert worker.tenure.offsets.base == 1


def test_money_that_is_spent_leaves_nothing_for_children(stage: Stage) -> None:
    async def spends(ctx: Context, value: str) -> Any:
        await ctx.generate(value)
        return str(await ctx.call("child", value))

    stage.worker(spends).start()
    stage.task("t1", headers=[("ce_costlimitusd", b"0.000003")])
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    (child,) = stage.children()
    assert Grant.decode(headers_of(child)[names.GRANT]).usd_micros == 0
