"""People, messages and tools in a ``MeshTest``, each with a kill after every record."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import BaseModel

from aiosv3.agents import ClearanceDenied, Context, Denied, StepTimeout, ToolFailed, agent
from aiosv3.agents.testing import NEVER, MeshTest, NotScripted, TaskFailed
from aiosv3.agents.tools import tool
from aiosv3.schemas.people import PersonAnswer, Question


class Budget(BaseModel):
    amount: int


@tool("crm", "tickets")
def update(ticket: str, label: str = "none") -> str:  # type: ignore[empty-body]
    """Sets the label of a ticket."""


@agent(deadline=timedelta(days=30))
async def refund(ctx: Context, amount: int) -> str:
    approval = await ctx.approve(f"Refund {amount}?", by="finance", timeout=timedelta(days=7))
    budget = await ctx.ask("How much is left?", Budget)
    return f"{approval.who} {approval.comment} {budget.amount}"


@agent(deadline=timedelta(days=30))
async def patient(ctx: Context, count: int) -> list[str]:
    return [await ctx.receive("note", str, timeout=timedelta(days=2)) for _ in range(count)]


@agent
async def labelling(ctx: Context, ticket: str) -> str:
    return await ctx.call(update, ticket=ticket, label="refund")


def test_people_answer_through_the_desk() -> None:
    mesh = MeshTest(refund, crash="everywhere")
    finance, anybody = mesh.people({"amount": 7}, finance="approve", takes=timedelta(days=3))
    assert mesh.run(refund, 100) == "finance  7"
    assert [question.content for question in finance.asked] == ["Refund 100?"]
    assert anybody.calls == 1
    assert (mesh.now - mesh._cast.begins).days == 6
    assert sum(isinstance(record, dict) for record in mesh.records("approvals")) == 6


def test_a_person_says_no_and_why() -> None:
    mesh = MeshTest(refund, crash="everywhere")
    mesh.people(finance="deny: too much")
    with pytest.raises(Denied) as caught:
        mesh.run(refund, 100)
    assert (caught.value.step, "too much" in str(caught.value)) == ("1", True)


def test_a_person_who_never_answers() -> None:
    mesh = MeshTest(refund)
    mesh.people(finance=NEVER)
    with pytest.raises(StepTimeout):
        mesh.run(refund, 100)
    assert (mesh.now - mesh._cast.begins).days == 7


def test_a_function_sees_the_question_and_a_list_its_turn() -> None:
    def decide(question: Question) -> str:
        return "approve" if question.content == "Refund 5?" else "deny"

    mesh = MeshTest(refund)
    mesh.people([Budget(amount=1), Budget(amount=2)], finance=decide)
    assert [mesh.run(refund, 5)[-1] for _ in range(2)] == ["1", "2"]
    with pytest.raises(Denied):
        mesh.run(refund, 6)


@pytest.mark.parametrize("answer", ["yes", 1, {"approve": True}])
def test_what_is_no_answer_to_an_approval(answer: object) -> None:
    mesh = MeshTest(refund)
    mesh.people(finance=answer)
    with pytest.raises(NotScripted, match="an approval is 'approve', 'deny'"):
        mesh.run(refund, 1)


def test_a_question_that_nobody_answers() -> None:
    with pytest.raises(NotScripted, match=r"task refund-1 asks finance \(step 1\) and nobody answers: 'Refund 1\?'"):
        MeshTest(refund).run(refund, 1)


def test_who_started_it_cannot_approve() -> None:
    mesh = MeshTest(refund)
    mesh.people(finance="approve")
    with pytest.raises(StepTimeout):
        mesh.run(refund, 1, ce_authid="finance")


def test_messages() -> None:
    mesh = MeshTest(patient, crash="everywhere")
    task = mesh.start(patient, 2)
    task.tell("note", "one", message_id="a")
    task.tell("note", "one again", message_id="a")
    mesh.advance(timedelta(days=1))
    task.tell("note", "two")
    assert task.result() == ["one", "two"]
    with pytest.raises(StepTimeout):
        mesh.run(patient, 1)


def test_a_cancel_with_a_kill_after_every_record() -> None:
    mesh = MeshTest(patient, crash="everywhere")
    task = mesh.start(patient, 2)
    task.tell("note", "one")
    task.cancel()
    with pytest.raises(TaskFailed, match="cancelled"):
        task.result()


def test_tools() -> None:
    mesh = MeshTest(labelling, crash="everywhere")
    script = mesh.tool(update, lambda ticket, label: f"{ticket} is {label}")
    assert mesh.run(labelling, "t1") == "t1 is refund"
    assert script.asked == [{"ticket": "t1", "label": "refund"}]
    mesh.tool(update, ToolFailed("out of order"))
    with pytest.raises(ToolFailed, match="out of order"):
        mesh.run(labelling, "t2")


def test_a_tool_without_a_script() -> None:
    with pytest.raises(NotScripted, match="tool crm/tickets/update was called, which has no script"):
        MeshTest(labelling).run(labelling, "t1")


def test_a_zone_that_may_not_see_it() -> None:
    mesh = MeshTest(labelling)
    mesh.tool(update, "x", clearance="public")
    with pytest.raises(ClearanceDenied, match="zone crm may see public data"):
        mesh.run(labelling, "t1", ce_dataclassification="confidential")


def test_an_answer_on_approvals_has_the_token() -> None:
    mesh = MeshTest(refund)
    mesh.people({"amount": 7}, finance="approve")
    mesh.run(refund, 1)
    answers = [record for record in mesh.records("approvals") if "answer_id" in record and "token" in record]
    assert len(answers) == 2
    assert all(answer["token"] for answer in answers)
    assert set(PersonAnswer.__slots__) >= set(answers[0]), json.dumps(answers[0])
