"""Messages that wait, and ``receive``: in journal order, each id once (protocol rule 17)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from aiosv3.agents import Context, InvalidContent, StepTimeout
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.mailbox import Mailbox, message_record
from aiosv3.schemas.records import JournalKind

if TYPE_CHECKING:
    from tests.agents.conftest import Play, Stage

NewPlay = Callable[..., "Play"]


class Note(BaseModel):
    text: str


def tell(task: Play, value: Any, message_id: str | None = None, name: str = "note") -> None:
    task.feed(message_record(task.task.id, name, json.dumps(value), message_id))


async def two_notes(ctx: Context, _value: str) -> str:
    first = await ctx.receive("note", Note)
    await ctx.generate("between")
    return f"{first.text} {(await ctx.receive('note', Note)).text}"


def test_messages_wait_until_they_are_asked_for_and_come_in_journal_order(play: NewPlay) -> None:
    task = play(two_notes)
    assert [type(step).__name__ for step in task.asked] == ["ReceiveStep"]
    for text in ("a", "b", "c"):
        tell(task, {"text": text})
    task.answer("2")
    assert task.ended.value == "a b"
    assert task.replay().view() == task.view()


def test_a_message_of_another_name_is_not_taken(play: NewPlay) -> None:
    task = play(two_notes)
    tell(task, {"text": "other"}, name="other")
    assert task.run.finish is None
    assert list(task.run.waiting) == ["1"]


def test_the_same_message_id_counts_once_and_messages_without_an_id_all_count(play: NewPlay) -> None:
    for message_id, expected in (("m1", None), (None, "a a")):
        task = play(two_notes)
        tell(task, {"text": "a"}, message_id)
        task.answer("2")
        tell(task, {"text": "a"}, message_id)
        assert (task.ended.value if task.run.finish else None) == expected
        assert task.replay().view() == task.view()


def test_who_asked_first_gets_the_first_message(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        notes = await asyncio.gather(ctx.receive("note", Note), ctx.receive("note", Note))
        return " ".join(note.text for note in notes)

    task = play(program)
    tell(task, {"text": "a"})
    tell(task, {"text": "b"})
    assert task.ended.value == "a b"


def test_a_message_of_another_type_fails_its_receive_and_is_read_then(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.receive("note", Note)
        except InvalidContent as error:
            return f"{error.step}: {(await ctx.receive('note', Note)).text}"
        return "taken"

    task = play(program)
    tell(task, {"words": 1})
    tell(task, {"text": "b"})
    assert task.ended.value == "1: b"


def test_a_timer_before_the_message_ends_a_receive_and_the_message_stays(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.receive("note", Note, timeout=timedelta(minutes=2))
        except StepTimeout as error:
            return f"{error.step} {error}, then {(await ctx.receive('note', Note)).text}"
        return "taken"

    task = play(program)
    assert task.asked[0].due == task.task.timestamp + 120_000
    task.fire("1")
    tell(task, {"text": "late"})
    assert task.ended.value == "1 no answer within 0:02:00, then late"
    assert task.replay().view() == task.view()


def test_a_receive_that_was_cancelled_takes_no_message(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        waiting = asyncio.ensure_future(ctx.receive("note", Note))
        await ctx.generate("a")
        waiting.cancel()
        await ctx.generate("b")
        return (await ctx.receive("note", Note)).text

    task = play(program)
    task.answer("2")
    tell(task, {"text": "kept"})
    task.answer("3")
    assert task.ended.value == "kept"


def test_a_cancelled_receive_keeps_no_task_open_that_waits_for_nothing_else(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        waiting = ctx.receive("note", Note)
        await ctx.generate("a")
        waiting.cancel()
        await asyncio.Event().wait()
        return "never"

    task = play(program)
    task.answer("2")
    assert task.failed.type == "Deadlock"


@pytest.mark.parametrize("seen", ["m", None])
def test_a_mailbox_knows_ids_not_contents(seen: str | None) -> None:
    mailbox = Mailbox()
    record = message_record("t", "note", "1", seen)
    assert (record.kind, record.task_offset) == (JournalKind.SIGNAL, -1)
    assert mailbox.fresh(record)
    assert mailbox.fresh(record) is (seen is None)
    entry = JournalEntry(3, 4, record)
    mailbox.keep(entry)
    assert mailbox.take("other") is None
    assert mailbox.take("note") == entry
    assert mailbox.take("note") is None


def test_a_message_may_come_before_its_task_and_survives_a_new_owner(stage: Stage) -> None:
    """Rule 10: what is buffered for a task that is not admitted yet holds the journal base back."""

    async def program(ctx: Context, _value: str) -> str:
        return (await ctx.receive("note", Note)).text

    worker = stage.worker(program, "a").start()
    stage.journaled(message_record("t", "note", '{"text": "early"}', "m1"))
    stage.advance(30)
    worker.kill()
    other = stage.worker(program, "b").start()
    stage.task("t")
    stage.run(lambda: len(stage.results(other)) == 1)
    assert stage.results(other)[0].content == "early"
