"""``MeshTest`` as its users see it: scripts, typed ends, virtual time, the log."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from aiosv3.agents import AgentFailed, BudgetExceeded, Context, ModelRefused, ModelUnavailable, ToolFailed, agent
from aiosv3.agents.testing import NEVER, MeshTest, Prompt, TaskFailed
from aiosv3.schemas.deltas import DeltaKind
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.records import JournalKind, Outcome


class Ticket(BaseModel):
    text: str
    amount: int = 0


class Verdict(BaseModel):
    label: str


@agent
async def research(ctx: Context, question: str) -> str:
    return await ctx.generate(f"look up: {question}", system="You search.")


@agent(clearance="confidential")
async def triage(ctx: Context, ticket: Ticket) -> Verdict:
    facts = ctx.call(research, ticket.text)
    return await ctx.generate(f"label {ticket.text} with {await facts}", output_type=Verdict)


@agent(deadline=timedelta(days=400))
async def patient(ctx: Context, days: int) -> datetime:
    await asyncio.sleep(days * 86_400)
    return ctx.now()


@agent
async def hasty(ctx: Context, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await ctx.generate("quick")
    except TimeoutError:
        return "late"


@agent
async def caller(ctx: Context, name: str) -> Any:
    return await ctx.call(name, {"a": 1})


@agent
async def worker(ctx: Context, what: str) -> str:
    if what == "raise":
        raise KeyError(what)
    return str(await ctx.run(lambda: 1 / 0, attempts=1)) if what == "divide" else await ctx.generate(what)


def test_a_tree_of_agents_with_scripted_models() -> None:
    mesh = MeshTest(triage, research)
    mesh.model(lambda prompt: {"label": "refund"}, output_type=Verdict)
    mesh.model(["a customer of old"])
    assert mesh.run(triage, Ticket(text="money back")) == Verdict(label="refund")
    assert mesh.calls == 2


def test_the_function_gets_a_readable_prompt() -> None:
    mesh = MeshTest(triage, research)
    found = mesh.model(lambda prompt: prompt.text.upper(), agent=research)
    labels = mesh.model(Verdict(label="x"), agent="triage", matching=r"LOOK UP: \w+")
    mesh.run(triage, Ticket(text="help"))
    (asked,) = found.asked
    assert (asked.agent, asked.text, asked.system) == ("research", "look up: help", "You search.")
    assert asked.wants(str)
    assert "search" in asked
    assert str(asked) == "You search.\nlook up: help"
    assert labels.calls == 1
    assert labels.asked[0].wants(Verdict)
    assert not labels.asked[0].wants(Ticket)
    assert labels.asked[0].route.needs == ("json",)


def test_the_first_rule_that_fits_answers_and_a_list_runs_out() -> None:
    mesh = MeshTest(worker)
    mesh.model(["one", "two"], matching="^a$")
    mesh.model("else")
    assert [mesh.run(worker, text) for text in ("a", "b", "a", "a")] == ["one", "else", "two", "else"]


def test_errors_are_typed() -> None:
    mesh = MeshTest(worker, triage, research)
    mesh.model([ModelUnavailable("the pool is down"), "{}"])
    with pytest.raises(ModelUnavailable, match="the pool is down") as caught:
        mesh.run(worker, "x")
    assert caught.value.retryable
    mesh.model("no json")
    with pytest.raises(ModelRefused):
        mesh.run(triage, Ticket(text="x"))
    with pytest.raises(ToolFailed, match="division by zero"):
        mesh.run(worker, "divide")
    with pytest.raises(TaskFailed, match="KeyError: 'raise'") as failed:
        mesh.run(worker, "raise")
    assert (failed.value.outcome, failed.value.type) == (Outcome.FAILED, "KeyError")


def test_a_script_may_raise_step_errors() -> None:
    def answer(prompt: Prompt) -> str:
        raise ModelRefused(f"not {prompt.text}")

    mesh = MeshTest(worker)
    mesh.model(answer)
    with pytest.raises(ModelRefused, match="not this"):
        mesh.run(worker, "this")


def test_an_error_of_a_scripts_own_is_the_tests() -> None:
    mesh = MeshTest(worker)
    mesh.model(lambda prompt: prompt.nothing)
    with pytest.raises(AttributeError, match="nothing"):
        mesh.run(worker, "x")


def test_scripted_agents() -> None:
    mesh = MeshTest(caller)
    legacy = mesh.agent("legacy", lambda value: [value, 2])
    mesh.agent("broken", AgentFailed("out of order"))
    assert mesh.run(caller, "legacy") == [{"a": 1}, 2]
    assert legacy.asked == [{"a": 1}]
    with pytest.raises(AgentFailed, match="out of order"):
        mesh.run(caller, "broken")
    with pytest.raises(ValueError, match="runs in this mesh"):
        mesh.agent("caller", 1)


def test_calls_cost_what_the_script_says() -> None:
    mesh = MeshTest(worker)
    mesh.model("x", usd="0.25")
    task = mesh.start(worker, "a")
    task.result()
    (result,) = mesh.records("results.worker")
    assert (result.usage.model_calls, result.usage.cost_usd_micros) == (1, 250_000)
    with pytest.raises(BudgetExceeded):
        mesh.run(worker, "b", ce_costlimitusd="0")


def test_time_is_virtual() -> None:
    mesh = MeshTest(patient)
    began = time.monotonic()
    assert mesh.run(patient, 365) == datetime(2031, 1, 1, 9, tzinfo=UTC)
    assert mesh.now == datetime(2031, 1, 1, 9, tzinfo=UTC)
    assert time.monotonic() - began < 5


def test_time_outs_and_slow_answers() -> None:
    mesh = MeshTest(hasty, begins=datetime(2027, 5, 1, tzinfo=UTC))
    mesh.model("in time", takes=timedelta(seconds=10))
    assert mesh.run(hasty, 5) == "late"
    assert mesh.run(hasty, 15) == "in time"
    never = MeshTest(hasty)
    never.model(NEVER)
    assert never.run(hasty, 3600 - 1) == "late"


def test_time_travel_and_cancel() -> None:
    mesh = MeshTest(patient)
    task = mesh.start(patient, 30)
    mesh.advance(timedelta(days=10))
    assert mesh.now == datetime(2030, 1, 11, 9, tzinfo=UTC)
    task.cancel()
    with pytest.raises(TaskFailed, match="cancelled") as caught:
        task.result()
    assert caught.value.outcome is Outcome.CANCELLED
    assert mesh.now < datetime(2030, 1, 12, 9, tzinfo=UTC)


def test_steps_and_records_can_be_asserted() -> None:
    mesh = MeshTest(triage, research)
    mesh.model({"label": "x"}, output_type=Verdict)
    mesh.model("facts")
    task = mesh.start(triage, Ticket(text="help"))
    task.result()
    steps = mesh.steps(task)
    assert [(step.id, step.kind, step.asks) for step in steps] == [
        ("1", "call", 'research "help"'),
        ("2", "model", "label help with facts"),
    ]
    assert all(step.answer is not None and step.answer.record.kind is JournalKind.ANSWER for step in steps)
    journal = mesh.records("journal.triage")
    assert [record.kind for record in journal] == [JournalKind.STARTED, JournalKind.ANSWER, JournalKind.ANSWER]
    (event,) = mesh.records("tasks.triage")
    assert event.content == Ticket(text="help")
    assert mesh.records("tasks.research") == ["help"]


def test_a_running_task_can_be_looked_at() -> None:
    mesh = MeshTest(worker)
    mesh.model(NEVER)
    task = mesh.start(worker, "x")
    (step,) = mesh.steps(task)
    assert (step.kind, step.answer) == ("model", None)


def test_values_go_through_avro() -> None:
    """What the schemas cannot hold does not pass, as in production."""
    mesh = MeshTest(triage, research)
    with pytest.raises(MalformedValue, match="TriageTask"):
        mesh.start(triage, Ticket(text="x", amount=2**70))


def test_outputs_go_through_avro_too() -> None:
    @agent
    async def counter(ctx: Context, exponent: int) -> int:
        return int(2**exponent)

    mesh = MeshTest(counter)
    assert mesh.run(counter, 62) == 2**62
    with pytest.raises(TaskFailed, match="ResultInvalid"):
        mesh.run(counter, 70)


def test_an_input_is_validated() -> None:
    mesh = MeshTest(worker)
    with pytest.raises(ValueError, match="valid string"):
        mesh.run(worker, 3)  # type: ignore[misc]


def test_the_same_test_twice_does_the_same() -> None:
    def history() -> list[Any]:
        mesh = MeshTest(triage, research)
        mesh.model({"label": "x"}, output_type=Verdict)
        mesh.model("facts")
        mesh.run(triage, Ticket(text="a"))
        return [mesh.records(topic) for topic in ("journal.triage", "journal.research", "results.triage", "prompts")]

    assert history() == history()


def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        MeshTest(worker, worker)


def test_it_works_inside_a_running_loop() -> None:
    """Tests of async code may use it too: it never waits."""

    async def test() -> None:
        mesh = MeshTest(worker)
        mesh.model("x")
        assert mesh.run(worker, "a") == "x"
        mesh.close()

    asyncio.run(test())


def test_the_documented_names_can_be_typed() -> None:
    mesh = MeshTest(triage, research)
    mesh.model({"label": "x"}, output_type=Verdict)
    mesh.model("facts")
    label: str = mesh.run(triage, Ticket(text="a")).label
    assert label == "x"


# -- what is shown ----------------------------------------------------------------------------------------------------


@agent
async def storyteller(ctx: Context, subject: str) -> str:
    ctx.progress("thinking", 0.1)
    story = await ctx.generate(f"a story of {subject}")
    ctx.progress(1.0)
    return story


@agent
async def publisher(ctx: Context, subject: str) -> str:
    return await ctx.call(storyteller, subject)


def test_a_test_sees_what_whoever_follows_a_task_sees() -> None:
    mesh = MeshTest(publisher, storyteller, crash="everywhere")
    mesh.model("Once upon a time", takes=timedelta(seconds=3))
    handle = mesh.start(publisher, "a cat", ce_stream="0")
    other = mesh.start(publisher, "a dog")
    assert handle.result() == other.result() == "Once upon a time"
    assert [(delta.agent, delta.kind, delta.content, delta.fraction) for delta in mesh.deltas(handle)] == [
        ("storyteller", DeltaKind.PROGRESS, "thinking", 0.1),
        ("storyteller", DeltaKind.TOKEN, "Once upon a time", None),
        ("storyteller", DeltaKind.END, None, None),
        ("storyteller", DeltaKind.PROGRESS, None, 1.0),
    ]
    assert mesh.deltas(other) == []
