"""Uses that a type checker must refuse: each line with a # wrong, and no other."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from aiosv3.agents import Client, Context, SyncClient, agent, tool
from aiosv3.agents.testing import MeshTest


class Verdict(BaseModel):
    label: str


class Memory(BaseModel):
    seen: int = 0


@tool("office", "crm")
def lookup(customer: str, *, deep: bool = False) -> list[int]:
    """Orders of a customer."""
    raise NotImplementedError


@agent
async def research(_ctx: Context, question: str) -> Verdict:
    return Verdict(label=question)


@agent  # wrong: a function that is no coroutine function
def plain(_ctx: Context, question: str) -> str:
    return question


@agent  # wrong: a parameter too many
async def greedy(_ctx: Context, question: str, more: str) -> str:
    return question + more


@agent(budgets="0.05")  # wrong: no such setting
async def typo(_ctx: Context, question: str) -> str:
    return question


@agent
async def triage(ctx: Context, text: str) -> int:
    verdict: str = await ctx.generate(text, output_type=Verdict)  # wrong: it is a Verdict
    number: int = await ctx.generate(text)  # wrong: it is a str
    ctx.generate(text, temprature=0.5)  # wrong: no such option
    ctx.generate(7)  # wrong: no prompt
    found: int = await ctx.call(research, text)  # wrong: it is a Verdict
    ctx.call(research, 7)  # wrong: it takes a str
    ctx.send(research, [text])  # wrong: it takes a str
    (await ctx.call(research, text)).lable  # wrong: no such field  # noqa: B018
    ctx.call(lookup, customer=7)  # wrong: a customer is a str
    ctx.call(lookup)  # wrong: customer is missing
    ctx.call(lookup, customer="ada", depth=1)  # wrong: no such argument
    wrong: str = await ctx.run(lambda: 3)  # wrong: it is an int
    ctx.run(3)  # wrong: no function
    sent: str = await ctx.send(research, text)  # wrong: a send answers nothing
    ctx.approve("Refund?", timeout=7)  # wrong: a timeout is a timedelta
    allowed: bool = await ctx.approve("Refund?")  # wrong: it is an Approval, a denial raises
    label: str = await ctx.ask("Which?", Verdict)  # wrong: it is a Verdict
    change: int = await ctx.receive("changed", Verdict, timeout=timedelta(1))  # wrong: it is a Verdict
    done: int = await ctx.loop("Help.", prompt=text, output_type=Verdict)  # wrong: it is a Verdict
    return text  # wrong: an int is promised


@agent(state=Memory, order="serial")
async def remembers(ctx: Context[Memory], text: str) -> int:
    ctx.state.sene += 1  # wrong: no such field
    ctx.state = text  # wrong: it is a Memory
    return ctx.state.seen


async def beside(ctx: Context) -> None:
    await research(ctx, 3)  # wrong: it takes a str


def finished() -> None:
    MeshTest(triage).run(triage, 3)  # wrong: it takes a str
    text: str = MeshTest(triage).run(triage, "text")  # wrong: it is an int
    print(text)


async def from_outside(client: Client) -> None:
    await client.start(research, 3)  # wrong: it takes a str
    await client.start(research, "text", keys="k")  # wrong: no such option
    found: int = await (await client.start(research, "text")).result()  # wrong: it is a Verdict
    (await client.start(research, "text")).result().label  # wrong: nobody awaits it  # noqa: B018


def from_outside_without_a_loop(client: SyncClient) -> None:
    client.start(research, 3)  # wrong: it takes a str
    text: str = client.handle("triage:0:x", triage).result()  # wrong: it is an int
