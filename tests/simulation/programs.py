"""What the tasks of a simulation run: small programs that wait, ask, branch, clean up and fail, each in its own way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from aiosv3.agents import Agent, Context, StepTimeout, ToolFailed, agent, tool
from aiosv3.agents.conversation import Conversation


class Job(BaseModel):
    """Which program a task runs."""

    program: str
    id: str


class Note(BaseModel):
    """What came out."""

    words: list[str]


class Done(BaseModel):
    """The tasks of a key that ended well."""

    ids: list[str] = []


@agent
async def leaf(ctx: Context, job: Job) -> Note:
    """A child: one model call, perhaps when its tree is over."""
    if job.program == "late":
        await asyncio.sleep(2.0)
    return Note(words=[await ctx.generate(f"leaf {job.id}")])


async def _seq(ctx: Context, job: Job) -> list[str]:
    first = await ctx.generate(f"{job.id} one")
    return [first, await ctx.generate(f"{job.id} two after {first}")]


async def _seq_anew(ctx: Context, job: Job) -> list[str]:
    """The same in the next version: its second question is another one."""
    first = await ctx.generate(f"{job.id} one")
    return [first, await ctx.generate(f"{job.id} {ANEW} after {first}")]


ANEW = "two in other words"


async def _gather(ctx: Context, job: Job) -> list[str]:
    seen: list[str] = []

    async def branch(name: str) -> None:
        for turn in range(2):
            seen.append(await ctx.generate(f"{job.id} {name}{turn} after {seen}"))

    await asyncio.gather(branch("a"), branch("b"))
    return seen


def _nobody(_step_key: str) -> None:
    """Nobody asks what is run."""


RAN: Callable[[str], None] = _nobody
"""Hears of each function that is executed, by its step's key."""


async def _draw(step_key: str) -> int:
    """A coroutine function: the simulated loop has no threads for plain ones."""
    RAN(step_key)
    await asyncio.sleep(0.3)  # so that two workers may be at it at once
    return random.randrange(1_000_000)


async def _run(ctx: Context, job: Job) -> list[str]:
    value = await ctx.run(_draw, output_type=int)
    return [str(value), await ctx.generate(f"{job.id} about {value}")]


async def _race(ctx: Context, job: Job) -> list[str]:
    try:
        async with asyncio.timeout(0.3):
            return [await ctx.generate(f"{job.id} quick")]
    except TimeoutError:
        await asyncio.sleep(0.2)
        return ["late"]


async def _tree(ctx: Context, job: Job) -> list[str]:
    children = [ctx.call(leaf, Job(program="leaf", id=f"{job.id}-{n}")) for n in range(2)]
    return [word for child in children for word in (await child).words]


async def _send(ctx: Context, job: Job) -> list[str]:
    ctx.send(leaf, Job(program="late", id=f"{job.id}-sent"))
    return [await ctx.generate(f"{job.id} and a child")]


async def _nap(ctx: Context, job: Job) -> list[str]:
    await asyncio.sleep(1.5)
    return [await ctx.generate(f"{job.id} after a nap")]


async def _long(ctx: Context, job: Job) -> list[str]:
    """Waits at several places, so that it is parked, woken and parked again."""
    first = await ctx.generate(f"{job.id} first")
    async with asyncio.timeout(30):
        await asyncio.sleep(0.8)
        child = ctx.call(leaf, Job(program="leaf", id=f"{job.id}-child"))
        await asyncio.sleep(0.8)
        words = (await child).words
    drawn = await ctx.run(_draw, output_type=int)
    await asyncio.sleep(0.8)
    return [first, *words, str(drawn), await ctx.generate(f"{job.id} last after {drawn}")]


async def _fail(ctx: Context, job: Job) -> list[str]:
    await ctx.generate(f"{job.id} before it fails")
    raise ValueError("as planned")


@tool("office", "desk", idempotent=True)
def look(thing: str) -> str:
    """Looks at a thing."""
    raise NotImplementedError


@tool("office", "desk")
def stamp(thing: str) -> str:
    """Stamps a thing: a server may be asked once only."""
    raise NotImplementedError


async def _tool(ctx: Context, job: Job) -> list[str]:
    seen, model = ctx.call(look, thing=job.id), ctx.generate(f"{job.id} beside a tool")
    return [await seen, await model, await ctx.call(stamp, thing=await seen)]


async def _loop(ctx: Context, job: Job) -> list[str]:
    """A model that asks for a tool, an agent and a function at once, then says what it has seen."""

    async def draw() -> int:
        return random.randrange(1_000_000)

    return [await ctx.loop("look around", prompt=job.id, tools=[look, leaf, draw])]


async def _noop(_ctx: Context, job: Job) -> list[str]:
    return [job.id]


async def _tidy(ctx: Context, job: Job) -> list[str]:
    """A tree that cleans up: a cancel reaches its child, and its cleanup is a step."""
    try:
        return (await ctx.call(leaf, Job(program="leaf", id=f"{job.id}-deep"))).words
    except asyncio.CancelledError:  # no ``finally``: it would run too where a killed process's garbage is collected
        await ctx.run(_draw, output_type=int)
        raise


async def _stubborn(ctx: Context, job: Job) -> list[str]:
    """Its cleanup never ends by itself."""
    try:
        return (await ctx.call(leaf, Job(program="leaf", id=f"{job.id}-deep"))).words
    except asyncio.CancelledError:
        while True:
            await asyncio.sleep(1_000)


async def _chance(ctx: Context, job: Job) -> list[str]:
    """What looks like chance, and the clock, around a step: a replay sees the same."""
    before = [str(ctx.uuid()), str(ctx.random().random()), str(ctx.now())]
    return [*before, await ctx.generate(f"{job.id} by {before}"), str(ctx.uuid()), str(ctx.now())]


async def _listen(ctx: Context, job: Job) -> list[str]:
    first = await ctx.generate(f"{job.id} before it listens")
    return [first, *(await ctx.receive("note", Note)).words, *(await ctx.receive("note", Note)).words]


async def _approve(ctx: Context, job: Job) -> list[str]:
    approval = await ctx.approve(f"may {job.id}?", by="boss", timeout=timedelta(seconds=100))
    return [approval.who, await ctx.generate(f"{job.id} may")]


async def _ask(ctx: Context, job: Job) -> list[str]:
    number = await ctx.ask(f"how many for {job.id}?", int, by="boss", timeout=timedelta(seconds=100))
    return [str(number), await ctx.generate(f"{job.id} for {number}")]


async def _start(ctx: Context, job: Job) -> list[str]:
    """Gives work away for good: a tree of its own."""
    own = f"{ctx.task_id}-own"
    handle = await ctx.start(leaf, Job(program="leaf", id=own), task_id=own, key="k")
    return [handle, await ctx.generate(f"{job.id} beside it")]


async def _impatient(ctx: Context, job: Job) -> list[str]:
    """Waits for a child no longer than it has patience: then it cancels it."""
    child = Job(program="late", id=f"{job.id}-late")
    try:
        return (await ctx.call(leaf, child, timeout=timedelta(seconds=0.7))).words
    except StepTimeout:
        return [await ctx.generate(f"{job.id} alone")]


async def _break(step_key: str) -> int:
    RAN(step_key)
    raise ValueError("as planned")


async def _flaky(ctx: Context, job: Job) -> list[str]:
    """A function that fails each time, and one that takes too long."""
    said = []
    try:
        await ctx.run(_break, attempts=2)
    except ToolFailed:
        said.append("failed")
    try:
        await ctx.run(_draw, timeout=timedelta(seconds=0.1))
    except StepTimeout:
        said.append("late")
    return [*said, await ctx.generate(f"{job.id} after {said}")]


class Word(BaseModel):
    """What a model says where its words have a form."""

    word: str


async def _typed(ctx: Context, job: Job) -> list[str]:
    return [(await ctx.generate(f"{job.id} in a form", output_type=Word)).word]


async def _chat(ctx: Context, job: Job) -> list[str]:
    """A conversation that is long enough for blocks in the claim store."""
    chat = Conversation()
    words = []
    for turn in range(2):
        chat.append("user", f"{job.id} turn {turn} ".ljust(1_500, "x"))
        words.append(await ctx.generate(chat))
        chat.append("assistant", words[-1].ljust(1_000, "y"))
    return words


async def _memo(ctx: Context, job: Job) -> list[str]:
    """Remembers, twice without waiting; finds what it has waited for; forgets somebody, or one memory."""
    own = await ctx.remember(f"{job.id} was here", subject="ada", key=job.id)
    ctx.remember(f"{job.id} in passing", subject="bob")
    ctx.remember(f"{job.id} for a while", subject="bob", key="while", expires=timedelta(seconds=3))
    seen = await ctx.recall("who was here?", subject="ada", k=50)
    found = "found" if seen.degraded or any(one.id == own.id for one in seen) else "missing"
    if job.id[-1] in "135":
        await ctx.forget(subject="bob")
    elif job.id[-1] == "4":
        ctx.forget(id=own.id)
    return [found, await ctx.generate(f"{job.id} saw {len(seen)}")]


async def _patch(ctx: Context, job: Job) -> list[str]:
    return [await ctx.generate(f"{job.id} before"), await ctx.generate(f"{job.id} after")]


async def _patch_anew(ctx: Context, job: Job) -> list[str]:
    """The same in the next version, which open tasks take where no old code has been before."""
    words = [await ctx.generate(f"{job.id} before")]
    if ctx.patched(PATCH):
        words.append(await ctx.generate(f"{job.id} once more"))
    return [*words, await ctx.generate(f"{job.id} after")]


PATCH = "once-more"

PROGRAMS = {
    "seq": _seq,
    "gather": _gather,
    "run": _run,
    "race": _race,
    "tree": _tree,
    "send": _send,
    "nap": _nap,
    "long": _long,
    "tidy": _tidy,
    "stubborn": _stubborn,
    "chance": _chance,
    "listen": _listen,
    "approve": _approve,
    "tool": _tool,
    "loop": _loop,
    "fail": _fail,
    "noop": _noop,
    "ask": _ask,
    "start": _start,
    "impatient": _impatient,
    "flaky": _flaky,
    "typed": _typed,
    "chat": _chat,
    "memo": _memo,
    "patch": _patch,
}
MEMORY = frozenset({"memo"})
"""Programs that need a memory worker."""
ANSWERED = frozenset({"approve", "ask"})
"""Programs that wait for a person."""


@agent
async def root(ctx: Context, job: Job) -> Note:
    """Runs the program that its task names."""
    ctx.progress(f"begins {job.program}", 0.0)
    return Note(words=await PROGRAMS[job.program](ctx, job))


@agent(order="serial", state=Done)
async def serial(ctx: Context[Done], job: Job) -> Note:
    """The same, one task of a key after the other; each says which ones it has seen end well."""
    before = ",".join(ctx.state.ids)
    ctx.state.ids.append(job.id)  # counts if it ends well
    words = await PROGRAMS[job.program](ctx, job)
    return Note(words=[f"after {before}", *words])


AGENTS: dict[str, Agent[Any, Any]] = {"root": root, "leaf": leaf, "serial": serial}


async def _root_anew(ctx: Context, job: Job) -> Note:
    """What :data:`root` becomes when somebody edits one of its programs."""
    program = {"seq": _seq_anew, "patch": _patch_anew}.get(job.program, PROGRAMS[job.program])
    ctx.progress(f"begins {job.program}", 0.0)
    return Note(words=await program(ctx, job))


EDITED: Agent[Any, Any] = replace(root, function=_root_anew, version="edited", patches=frozenset({PATCH}))
"""Another version of ``root``. Tasks that fit it go on with it; the others are stuck until the old one is back."""
