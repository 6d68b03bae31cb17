"""What stands in a prompt raises the class of its request: at once, beside others when long, and for what is stored."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context, Conversation
from aiosv3.agents.steps import ModelStep
from aiosv3.agents.worker import sending
from aiosv3.agents.worker.judging import AT_ONCE, verdict_on
from aiosv3.prompts.scan import Verdict
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


def test_long_tool_schemas_are_looked_at_in_pieces_too() -> None:
    tools = json.dumps([{"name": "a", "description": "word " * AT_ONCE}])
    prompt = Prompt((Message(Role.USER, "hello"),), None, 10, tools=tools)
    route = Route(None, "auto", 0, 0)
    step = ModelStep(id="1", hash="", first_sent=0, due=None, prompt=prompt, route=route)
    later = verdict_on(step, Clearance.PUBLIC)
    assert asyncio.iscoroutine(later)
    assert asyncio.run(later) == Verdict(Clearance.PUBLIC)


class Second:
    """A second look that says the same of everything."""

    most = Clearance.CONFIDENTIAL

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[Prompt] = []

    async def judge(self, prompt: Prompt) -> Verdict:
        self.asked.append(prompt)
        return self.verdict


@pytest.mark.parametrize(
    ("text", "second", "expected", "asked"),
    [
        ("Ada", Verdict(Clearance.INTERNAL, ("person",)), (Clearance.INTERNAL, ("person",)), 1),
        (MAIL, Verdict(Clearance.PUBLIC), (Clearance.INTERNAL, ("email",)), 1),
        (MAIL, Verdict(Clearance.RESTRICTED, ("failed-scan",)), (Clearance.RESTRICTED, ("failed-scan",)), 1),
        (LONG, Verdict(Clearance.INTERNAL, ("person",)), (Clearance.INTERNAL, ("person",)), 1),
        (CARD, Verdict(Clearance.PUBLIC), (Clearance.CONFIDENTIAL, ("card",)), 0),
        (LONG + CARD, Verdict(Clearance.PUBLIC), (Clearance.CONFIDENTIAL, ("card",)), 0),
    ],
)
def test_a_second_look_may_raise_the_class_and_is_asked_where_it_could(
    stage: Stage, text: str, second: Verdict, expected: tuple[Clearance, tuple[str, ...]], asked: int
) -> None:
    worker, look = stage.worker(asks), Second(second)
    worker.setup = replace(worker.setup, second_look=look)
    worker.start()
    stage.task("t1", text, headers=PUBLIC)
    stage.settle()
    (request,) = stage.prompts()
    assert (said(request), len(look.asked)) == (expected, asked)


def test_a_stored_part_that_it_has_not_seen_counts_as_the_most_that_it_finds() -> None:
    prompt = Prompt((Message(Role.USER, "hello"),), None, 10, history="claim")
    step = ModelStep(id="1", hash="", first_sent=0, due=None, prompt=prompt, route=Route(None, "auto", 0, 0))
    look = Second(Verdict(Clearance.PUBLIC))
    later = verdict_on(step, Clearance.PUBLIC, look)
    assert asyncio.iscoroutine(later)
    assert asyncio.run(later) == Verdict(Clearance.CONFIDENTIAL, ("history",))
    assert look.asked == []
    assert verdict_on(step, Clearance.CONFIDENTIAL, look) == Verdict(Clearance.CONFIDENTIAL)


@pytest.mark.parametrize("hindrance", ["stuck", "silent"])
def test_what_happens_while_a_text_is_looked_at_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, hindrance: str
) -> None:
    """A task that got stuck sends nothing (rule 20), and no step starts while no broker answers (rule 6)."""
    looking: list[asyncio.Future[Verdict]] = []

    def later(_step: ModelStep, _given: Clearance, _second: object) -> asyncio.Future[Verdict]:
        looking.append(asyncio.get_running_loop().create_future())
        return looking[0]

    monkeypatch.setattr(sending, "verdict_on", later)
    worker = stage.worker(asks).start()
    stage.task("t1", "hello", headers=PUBLIC)
    stage.run(lambda: bool(looking))
    run, alive = worker.tenure.live["t1"].run, worker.member.alive
    if hindrance == "stuck":
        run.stuck = "its code has changed"
    else:
        monkeypatch.setattr(worker.member, "alive", lambda: False)
    looking[0].set_result(Verdict(Clearance.PUBLIC))
    stage.settle()
    assert stage.prompts() == []
    if hindrance == "silent":
        monkeypatch.setattr(worker.member, "alive", alive)
        stage.advance(2)
        assert len(stage.prompts()) == 1


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


def test_what_was_stored_without_a_look_at_it_stays_unknown(stage: Stage) -> None:
    async def goes_on(ctx: Context, claim: str) -> str:
        talk = Conversation(head=claim, stored=2, stored_tokens=9)
        talk.append("user", "word " * 600)
        assert (talk.stored, talk.stored_class) == (3, None)
        talk.append("user", "and now?")
        return await ctx.generate(talk)

    stage.worker(goes_on).start()
    stage.task("t1", "sha256-" + "0" * 64, headers=PUBLIC)
    stage.settle()
    assert said(stage.prompts()[0]) == (Clearance.RESTRICTED, ("history",))


def test_of_a_claim_alone_nothing_is_known(stage: Stage) -> None:
    async def by_hand(ctx: Context, claim: str) -> str:
        return await ctx.generate(Prompt((Message(Role.USER, "and now?"),), None, 10, history=claim))

    stage.worker(by_hand).start()
    stage.task("t1", "sha256-" + "0" * 64, headers=PUBLIC)
    stage.settle()
    assert said(stage.prompts()[0]) == (Clearance.RESTRICTED, ("history",))
