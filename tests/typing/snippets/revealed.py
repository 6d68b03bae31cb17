"""The types that an author of agents gets. ``assert_type`` fails in a type checker, and does nothing when run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from aiosv3.agents import (
    Agent,
    Approval,
    Client,
    Context,
    Handle,
    SyncClient,
    SyncHandle,
    Tool,
    agent,
    tool,
)
from aiosv3.agents.client import Ended, Event
from aiosv3.agents.testing import MeshTest


class Verdict(BaseModel):
    label: str


@dataclass
class Memory:
    seen: int = 0


@tool("office", "crm")
def lookup(customer: str, *, deep: bool = False) -> list[int]:
    """Orders of a customer."""
    raise NotImplementedError


@tool("office", "crm")
def ping() -> None:
    """Answers nothing."""


async def fetched() -> int:
    return 3


async def keyed(step_key: str) -> bytes:
    return step_key.encode()


@agent
async def research(_ctx: Context, question: str) -> Verdict:
    return Verdict(label=question)


@agent(budget="0.05", deadline=timedelta(days=1))
async def triage(ctx: Context, text: str) -> int:
    assert_type(ctx.generate(text), asyncio.Future[str])
    assert_type(ctx.generate(text, output_type=Verdict), asyncio.Future[Verdict])
    assert_type(ctx.generate(text, output_type=list[int]), asyncio.Future[list[int]])
    assert_type(await ctx.generate(text, output_type=Verdict, model="small", max_usd="0.01", name="ask"), Verdict)

    assert_type(ctx.call(research, text), asyncio.Future[Verdict])
    assert_type(ctx.call("research", text, key="k"), asyncio.Future[Any])
    assert_type(ctx.send(research, text), asyncio.Future[None])
    assert_type(ctx.send("research", text, key="k"), asyncio.Future[None])
    assert_type(await research(ctx, text), Verdict)

    assert_type(ctx.call(lookup, customer="ada", deep=True), asyncio.Future[list[int]])
    assert_type(ctx.call(lookup.pinned("orders"), customer="ada"), asyncio.Future[list[int]])
    assert_type(ctx.call(ping), asyncio.Future[None])

    assert_type(ctx.run(lambda: 3), asyncio.Future[int])
    assert_type(ctx.run(fetched), asyncio.Future[int])
    assert_type(ctx.run(keyed, attempts=1, name="write"), asyncio.Future[bytes])

    assert_type(ctx.approve("Refund?", by="finance", timeout=timedelta(hours=2)), asyncio.Future[Approval])
    assert_type((await ctx.approve("Refund?")).who, str)
    assert_type(ctx.ask("Which?", Verdict, by="support"), asyncio.Future[Verdict])
    assert_type(ctx.ask("How many?", int), asyncio.Future[int])
    assert_type(ctx.receive("changed", Verdict, timeout=timedelta(days=7)), asyncio.Future[Verdict])

    assert_type(await ctx.loop("Help.", prompt=text, tools=[lookup, research, fetched]), str)
    assert_type(await ctx.loop("Help.", prompt=text, output_type=Verdict, approve={lookup: "support"}), Verdict)

    assert_type(await asyncio.gather(ctx.call(research, text), ctx.run(fetched)), tuple[Verdict, int])
    return 1


@agent(state=Memory, order="serial")
async def remembers(ctx: Context[Memory], text: str) -> int:
    assert_type(ctx.state, Memory)
    assert_type(ctx.state.seen, int)
    ctx.state = Memory(len(text))
    del ctx.state
    return 0


def outside(ctx: Context) -> None:
    assert_type(ctx.state, Any)
    assert_type(ctx.key, str | None)


async def from_outside(client: Client) -> None:
    handle = await client.start(research, "text", key="k", id="i", headers={"ce_tenant": "acme"}, stream=True)
    assert_type(handle, Handle[Verdict])
    assert_type(await handle.result(timeout=3), Verdict)
    assert_type((await handle.ended()).output, Verdict | None)
    assert_type(await client.start("research", {"any": 1}), Handle[Any])
    assert_type(client.handle("research:0:x", research), Handle[Verdict])
    assert_type(client.handle("research:0:x"), Handle[Any])
    async for event in handle.events():
        assert_type(event, Event)


def from_outside_without_a_loop(client: SyncClient) -> None:
    handle = client.start(triage, "text")
    assert_type(handle, SyncHandle[int])
    assert_type(handle.result(), int)
    assert_type(handle.ended(timeout=0), Ended[int])
    assert_type(client.start("triage", "text").result(), Any)
    assert_type(client.handle("triage:0:x", triage).result(), int)
    for event in handle.events():
        assert_type(event, Event)


assert_type(research, Agent[str, Verdict])
assert_type(triage, Agent[str, int])
assert_type(remembers, Agent[str, int])
assert_type(ping, Tool[[], None])
orders: Callable[..., Any] = lookup.pinned
assert_type(MeshTest(triage).run(triage, "text"), int)
assert_type(MeshTest(research).start(research, "text").result(), Verdict)
