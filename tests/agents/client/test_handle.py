"""Handles: how a task ends, what is said to it, what is seen of it, from this process or from another."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from aiosv3.agents import AgentFailed, BudgetExceeded, Context, NotFinished, StepError, TreeCancelled, agent
from aiosv3.agents.client import (
    Answered,
    Asked,
    Client,
    Decided,
    Finished,
    Gap,
    InvalidInput,
    NoSuchPartition,
    Progress,
    Started,
    Tokens,
)
from aiosv3.agents.worker.questions import place_of, verdict_outgoing
from aiosv3.schemas.deltas import DeltaKind
from aiosv3.schemas.headers import CE_STREAM
from aiosv3.schemas.people import AnswerVerdict
from aiosv3.schemas.records import JournalKind, Outcome

SECONDS = 30


class OutOfStock(StepError):
    """An error of the agent's own."""


@agent
async def clerk(ctx: Context, wish: str) -> list[str]:
    if wish == "stock":
        raise OutOfStock("no socks", retryable=True)
    if wish == "budget":
        raise BudgetExceeded("all is spent")
    if wish == "bug":
        raise ValueError("a bug")
    if wish == "listen":
        return [await ctx.receive("note", str)]
    if wish == "approve":
        await ctx.approve("Refund?", by="finance", timeout=timedelta(hours=1))
    if wish == "ask":
        await ctx.ask("How many?", int)
    return [wish, "done"]


@pytest.fixture
async def client(office: Any) -> Any:
    await office.work(clerk)
    async with office.client() as made:
        yield made


async def started(client: Client, wish: str, **options: Any) -> Any:
    return await client.start(clerk, wish, **options)


async def test_the_errors_of_a_task_are_typed(client: Any) -> None:
    for wish, kind, words in (
        ("budget", BudgetExceeded, "all is spent"),
        ("bug", AgentFailed, "ValueError: a bug"),
        ("stock", OutOfStock, "no socks"),
    ):
        with pytest.raises(kind, match=words) as caught:
            await (await started(client, wish)).result(timeout=SECONDS)
        assert isinstance(caught.value, StepError)
    assert caught.value.retryable is True
    by_name = await client.start("clerk", "stock")
    with pytest.raises(AgentFailed, match="OutOfStock: no socks"):
        await by_name.result(timeout=SECONDS)


async def test_how_it_ended_with_cost_and_times(client: Any) -> None:
    ended = await (await started(client, "x", key="k")).ended(timeout=SECONDS)
    assert (ended.outcome, ended.output, ended.error, ended.cost_usd) == (Outcome.OK, ["x", "done"], None, 0.0)
    assert ended.started_at <= ended.finished_at <= datetime.now(UTC)
    assert (ended.fields["task_key"], ended.fields["output"], ended.latency_ms >= 0) == ("k", ["x", "done"], True)
    failed = await (await started(client, "bug")).ended(timeout=SECONDS)
    assert (failed.outcome, failed.output, failed.fields["error"]["type"]) == (Outcome.FAILED, None, "ValueError")


async def test_what_is_not_finished_in_time_goes_on(client: Any) -> None:
    handle = await started(client, "listen")
    with pytest.raises(NotFinished, match=r"has no result after 0\.05 s: it goes on"):
        await handle.result(timeout=0.05)
    with pytest.raises(TimeoutError, match="has no result yet"):
        await handle.result(timeout=0)
    await handle.send("note", "hi")
    assert await handle.result(timeout=SECONDS) == ["hi"]
    assert await handle.result(timeout=0) == ["hi"]


async def test_a_message_counts_once_and_may_come_before_its_task(client: Any) -> None:
    first = await started(client, "x", key="k")
    early = client.handle(f"clerk:{first.place.partition}:late", clerk)
    assert await early.send("note", "first", id="m") == "m"
    await early.send("note", "second", id="m")
    handle = await started(client, "listen", key="k", id="late")
    assert await handle.result(timeout=SECONDS) == ["first"]


async def test_names_of_operators_are_not_for_messages(client: Any) -> None:
    handle = await started(client, "listen")
    for name in ("aiosv3.fail", ""):
        with pytest.raises(InvalidInput, match="is no name for a message"):
            await handle.send(name, {"reason": "x"})
    with pytest.raises(InvalidInput, match="no form in JSON"):
        await handle.send("note", object())


async def test_a_cancel(client: Any, office: Any) -> None:
    handle = await started(client, "listen")
    await handle.cancel()
    with pytest.raises(TreeCancelled, match=f"{handle} was cancelled"):
        await handle.result(timeout=SECONDS)
    (record,) = office.journaled("clerk", JournalKind.CANCEL)
    assert record.task_id == handle.id


async def test_a_partition_that_is_not_there(client: Any) -> None:
    handle = client.handle("clerk:3:x")
    for work in (handle.cancel, handle.result, lambda: handle.send("a", 1), lambda: anext(handle.events())):
        with pytest.raises(NoSuchPartition, match="has 3 partitions, so there is no 3"):
            await work()


async def test_a_reopened_handle_finds_what_was_before(client: Any, office: Any) -> None:
    old = await started(client, "old")
    await old.result(timeout=SECONDS)
    async with office.client() as other:
        assert await other.handle(str(old), clerk).result() == ["old", "done"]
        assert await other.handle(str(old)).result(timeout=0) == ["old", "done"]
        before = datetime.now(UTC) - timedelta(minutes=1)
        assert await other.handle(str(old), clerk, since=before).result(timeout=0) == ["old", "done"]


# -- events -----------------------------------------------------------------------------------------------------------


async def seen(handle: Any, **options: Any) -> list[Any]:
    async with asyncio.timeout(SECONDS):
        return [event async for event in handle.events(**options)]


async def test_events_end_with_the_task(client: Any) -> None:
    handle = await started(client, "x")
    found = await seen(handle)
    assert [type(event) for event in found] == [Started, Finished][-len(found) :]
    assert (found[-1].outcome, found[-1].output, found[-1].task) == (Outcome.OK, ["x", "done"], handle.id)
    failed = (await seen(await started(client, "stock")))[-1]
    assert isinstance(failed.error, OutOfStock)


async def test_questions_are_seen_and_answers_too(client: Any, office: Any) -> None:
    handle = await started(client, "approve", stream=True)
    events = handle.events()
    async with asyncio.timeout(SECONDS):
        asked = await anext(events)
        while not isinstance(asked, Asked):
            asked = await anext(events)
        assert (asked.kind, asked.text, asked.role, asked.task) == ("APPROVE", "Refund?", "finance", handle.id)
        verdict = AnswerVerdict(asked.question, "a1", "ann", accepted=True, decided_at=0)
        place = place_of(asked.question, 3)
        office.broker.append(verdict_outgoing(office.codec, office.topics, place, verdict, b"test"))
        decided = await anext(events)
        assert decided == Decided(handle.id, decided.cursor, asked.question, "ann")
    await events.aclose()
    handle = await started(client, "ask")
    async with asyncio.timeout(SECONDS), aclosing(handle.events()) as events:
        question = await anext(events)
        while not isinstance(question, Asked):
            question = await anext(events)
    assert (question.kind, question.schema, question.expires_at is not None) == ("ASK", {"type": "integer"}, True)


async def test_tokens_of_a_stream(client: Any, office: Any) -> None:
    handle = await started(client, "listen", stream=True)
    (record,) = office.of(office.topics.tasks("clerk"))
    partition = int(record.header(CE_STREAM))
    show = partial(office.shows, handle.id, partition=partition)
    office.shows("somebody-else", "x", 0, partition=partition)
    show("half", 0, kind=DeltaKind.PROGRESS, step="p", fraction=0.5)
    show("a", 0)
    show("b", 1)
    show("d", 3)
    show("A", 0, attempt=2)
    show("late", 4)
    show("", 1, attempt=2, kind=DeltaKind.END)
    await handle.send("note", "end")
    found = [event for event in await seen(handle) if not isinstance(event, Started)]
    task, cursors = handle.id, [event.cursor for event in found]
    assert found == [
        Progress(task, cursors[0], "p", "half", 0.5),
        Tokens(task, cursors[1], "1", "a", 1, 0),
        Tokens(task, cursors[2], "1", "b", 1, 1),
        Gap(task, cursors[3], "1", 1),
        Tokens(task, cursors[4], "1", "d", 1, 3),
        Tokens(task, cursors[5], "1", "A", 2, 0, erases=True),
        Answered(task, cursors[6], "1"),
        Finished(task, cursors[7], Outcome.OK, ["end"], None),
    ]


async def test_events_go_on_where_they_were_left_on_the_same_handle(client: Any, office: Any) -> None:
    handle = await started(client, "listen", stream=True)
    partition = int(office.of(office.topics.tasks("clerk"))[0].header(CE_STREAM))
    office.shows(handle.id, "a", 0, partition=partition)
    async with asyncio.timeout(SECONDS):
        async for event in handle.events():
            if isinstance(event, Tokens):
                break
    office.shows(handle.id, "b", 1, partition=partition)
    await handle.send("note", "end")
    found = await seen(handle)
    assert [event.text for event in found if isinstance(event, Tokens)] == ["b"]
    assert [event for event in found if isinstance(event, Gap | Started)] == []


async def test_a_cursor_goes_on_in_another_process(client: Any, office: Any) -> None:
    handle = await started(client, "listen", stream=True)
    partition = int(office.of(office.topics.tasks("clerk"))[0].header(CE_STREAM))
    for sequence, text in enumerate("abc"):
        office.shows(handle.id, text, sequence, partition=partition)
    await handle.send("note", "end")
    await handle.result(timeout=SECONDS)
    everything = await seen(handle)
    cursor = next(event.cursor for event in everything if isinstance(event, Tokens) and event.text == "a")
    async with office.client() as other:
        again = await seen(other.handle(str(handle), clerk))
        rest = await seen(other.handle(str(handle), clerk), after=cursor)
    kinds = [type(event) for event in again]
    assert kinds == [Started, Tokens, Tokens, Tokens, Finished]
    assert [event.text for event in rest if isinstance(event, Tokens)] == ["b", "c"]
    assert not any(isinstance(event, Gap | Started) for event in rest), "what was seen before is no loss"


async def test_a_handle_that_nobody_has_any_more_listens_no_more(client: Any, office: Any, until: Any) -> None:
    handle = await started(client, "x", stream=True)
    await handle.result(timeout=SECONDS)
    tails = client._ground.tails
    journal = await tails.at(office.topics.journal("clerk"), handle.place.partition)
    assert journal.listeners == 1
    del handle
    gc.collect()
    await until(lambda: journal.listeners == 0)
