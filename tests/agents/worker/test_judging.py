"""What stands in a prompt raises the class of its request: at once, beside others when long, and for what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context, Conversation
from aiosv3.agents.worker.judging import AT_ONCE
from aiosv3.schemas import headers as names
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.records import Message, Prompt, Role
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

CARD = "4111 1111 1111 1111"
MAIL = "ana@example.com"
PUBLIC = [(names.CE_DATACLASSIFICATION, b"public")]
LONG = "word " * (AT_ONCE // 4)


def said(record: Record) -> tuple[Clearance, tuple[str, ...]]:
    """Class and findings of a request, by its headers."""
    return (
        Grant.decode(record.header(names.GRANT) or b"").clearance,
        Route.decode(record.header(names.ROUTE) or b"").found,
    )


async def asks(ctx: Context, text: str) -> str:
    return await ctx.generate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", (Clearance.PUBLIC, ())),
        (MAIL, (Clearance.INTERNAL, ("email",))),
        (f"{MAIL} {CARD}", (Clearance.CONFIDENTIAL, ("card",))),
        (LONG, (Clearance.PUBLIC, ())),
        (LONG + CARD, (Clearance.CONFIDENTIAL, ("card",))),
    ],
    ids=["nothing", "email", "both", "long", "long-card"],
)
def test_the_request_has_the_class_of_its_text(
    stage: Stage, text: str, expected: tuple[Clearance, tuple[str, ...]]
) -> None:
    stage.worker(asks).start()
    stage.task("t1", text, headers=PUBLIC)
    stage.settle()
    (request,) = stage.prompts()
    assert said(request) == expected


def test_a_class_never_falls(stage: Stage) -> None:
    stage.worker(asks, clearance=Clearance.RESTRICTED).start()
    stage.task("t1", CARD, headers=PUBLIC)
    stage.settle()
    assert said(stage.prompts()[0]) == (Clearance.RESTRICTED, ())


def test_the_task_itself_keeps_its_class(stage: Stage) -> None:
    """The next prompt of the same task may go where the task may."""

    async def twice(ctx: Context, text: str) -> str:
        await ctx.generate(text, timeout=None, name="first")
        return await ctx.generate("hello", name="second")

    stage.worker(twice).start()
    stage.task("t1", CARD, headers=PUBLIC)
    stage.settle()
    stage.answer(stage.prompts()[0], "ok")
    stage.settle()
    assert [said(one)[0] for one in stage.prompts()] == [Clearance.CONFIDENTIAL, Clearance.PUBLIC]


def test_what_a_conversation_has_stored_counts_too(stage: Stage) -> None:
    async def talks(ctx: Context, text: str) -> str:
        talk = Conversation()
        talk.append("user", text + " word" * 600)
        assert talk.head is not None
        talk.append("user", "and now?")
        return await ctx.generate(talk)

    stage.worker(talks).start()
    stage.task("t1", CARD, headers=PUBLIC)
    stage.task("t2", "hello", headers=PUBLIC)
    stage.settle()
    assert [said(one) for one in stage.prompts()] == [
        (Clearance.CONFIDENTIAL, ("history",)),
        (Clearance.PUBLIC, ()),
    ]


def test_of_a_claim_alone_nothing_is_known(stage: Stage) -> None:
    async def by_hand(ctx: Context, claim: str) -> str:
        return await ctx.generate(Prompt((Message(Role.USER, "and now?"),), None, 10, history=claim))

    stage.worker(by_hand).start()
    stage.task("t1", "sha256-" + "0" * 64, headers=PUBLIC)
    stage.settle()
    assert said(stage.prompts()[0]) == (Clearance.RESTRICTED, ("history",))
