"""What the check finds and what it leaves alone, by source text: a line with ``# !rule`` must be found, no other."""

from __future__ import annotations

import re
from typing import Final

import pytest

from aiosv3.app.determinism import RULES, check_source

_HEAD: Final = """
import asyncio
from aiosv3.agents import Context, agent
"""


def expected(source: str) -> set[tuple[int, str]]:
    """The ``# !rule`` marks of a source."""
    return {
        (number, rule)
        for number, line in enumerate(source.splitlines(), 1)
        for marks in re.findall(r"# !([\w, -]+)", line)
        for rule in re.split(r",\s*", marks.strip())
    }


def check(source: str) -> None:
    """Exactly the marked lines are found, each for its rule."""
    whole = _HEAD + source
    found = check_source(whole, "agents.py")
    assert {(one.line, one.rule) for one in found} == expected(whole), "\n".join(one.text() for one in found)


def body(*lines: str, head: str = "") -> None:
    """The lines as the body of an agent."""
    text = "\n    ".join(lines)
    check(f"{head}\n@agent\nasync def triage(ctx: Context, word: str) -> str:\n    {text}\n")


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "call", "rule"),
    [
        ("import time", "time.time()", "clock"),
        ("import time as t", "t.monotonic_ns()", "clock"),
        ("from time import time as t", "t()", "clock"),
        ("from time import *\nimport time", "time.perf_counter()", "clock"),
        ("import time", "time.gmtime()", "clock"),
        ("import time", "time.strftime('%H')", "clock"),
        ("import datetime", "datetime.datetime.now()", "clock"),
        ("import datetime as d", "d.date.today()", "clock"),
        ("from datetime import datetime", "datetime.utcnow()", "clock"),
        ("from datetime import datetime as dt, UTC", "dt.now(UTC)", "clock"),
        ("import time", "time.sleep(3)", "sleep"),
        ("import random", "random.random()", "random"),
        ("from random import choice", "choice([1, 2])", "random"),
        ("import random", "random.Random()", "random"),
        ("import secrets", "secrets.token_hex()", "random"),
        ("import os", "os.urandom(8)", "random"),
        ("import numpy as np", "np.random.rand()", "random"),
        ("import uuid", "uuid.uuid4()", "uuid"),
        ("from uuid import uuid1 as new", "new()", "uuid"),
        ("", "hash(word)", "hash"),
        ("", "id(word)", "hash"),
        ("import os", "os.environ['A']", "environment"),
        ("import os", "os.environ.get('A')", "environment"),
        ("from os import environ", "environ['A']", "environment"),
        ("import os", "os.getenv('A')", "environment"),
        ("import os", "os.getpid()", "environment"),
        ("", "open(word)", "files"),
        ("from pathlib import Path", "Path(word).read_text()", "files"),
        ("from pathlib import Path", "(Path(word) / 'x').exists()", "files"),
        ("from pathlib import Path", "Path(word).parent.with_suffix('.x').mkdir()", "files"),
        ("from pathlib import Path", "Path.cwd()", "files"),
        ("import pathlib", "pathlib.Path.home().glob('*')", "files"),
        ("", "word.write_text('x')", "files"),
        ("import os", "os.listdir(word)", "files"),
        ("import shutil", "shutil.rmtree(word)", "files"),
        ("import requests", "requests.get(word)", "network"),
        ("import httpx", "httpx.AsyncClient()", "network"),
        ("import urllib.request", "urllib.request.urlopen(word)", "network"),
        ("import socket", "socket.create_connection((word, 1))", "network"),
        ("import aiohttp", "aiohttp.ClientSession()", "network"),
        ("import subprocess", "subprocess.run([word])", "process"),
        ("import os", "os.system(word)", "process"),
        ("", "input()", "input"),
        ("import sys", "sys.stdin.read()", "input"),
        ("import threading", "threading.Thread(target=word)", "threads"),
        ("from concurrent.futures import ThreadPoolExecutor", "ThreadPoolExecutor()", "threads"),
        ("", "await asyncio.to_thread(len, word)", "threads"),
        ("", "await asyncio.get_running_loop().run_in_executor(None, len, word)", "threads"),
    ],
)
def test_what_reaches_outside_is_found_by_any_name(imports: str, call: str, rule: str) -> None:
    body(f"return str({call})  # !{rule}", head=imports)


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("import time", "time.gmtime(0)"),
        ("import time", "time.strftime('%H', when)"),
        ("import datetime", "datetime.datetime.fromisoformat(word)"),
        ("from datetime import datetime, timedelta", "datetime(2026, 1, 1) + timedelta(days=1)"),
        ("import random", "random.Random(7).random()"),
        ("import uuid", "uuid.uuid5(uuid.NAMESPACE_URL, word)"),
        ("import uuid", "uuid.UUID(word)"),
        ("import hashlib", "hashlib.sha256(word.encode()).hexdigest()"),
        ("from pathlib import Path", "Path(word).name.replace('a', 'b')"),
        ("from pathlib import PurePath", "PurePath(word).suffix"),
        ("import os", "os.path.join('a', word)"),
        ("import httpx", "httpx.Timeout(3)"),
        ("import httpx", "isinstance(word, httpx.Client)"),
        ("", "word.replace('a', 'b')"),
        ("", "ctx.now() and ctx.random().random() and ctx.uuid()"),
        ("", "word.open()"),
        ("from urllib.parse import quote", "quote(word)"),
        ("", "asyncio.get_running_loop().time()"),
    ],
)
def test_what_a_replay_repeats_is_left_alone(imports: str, call: str) -> None:
    body(f"return str({call})", head=imports)


def test_a_name_of_ones_own_is_not_the_modules() -> None:
    check(
        """
import time, random

def open(name: str) -> str:
    return name

@agent
async def triage(ctx: Context, time: list[str]) -> str:
    random = ctx.random()
    return open(f"{time.count('x')} {random.random()}")
"""
    )


def test_variables_are_followed_to_what_they_were_made_of() -> None:
    check(
        """
import random
import time
import httpx
from pathlib import Path

CLIENT = httpx.AsyncClient()
DICE = random.Random(7)
NOTES: Path = Path("notes")

@agent
async def triage(ctx: Context, word: str) -> str:
    clock = time.monotonic
    began = clock()  # !clock
    await CLIENT.get("x")  # !network
    own = random.Random(7)
    note = NOTES / word
    note.read_text()  # !files
    return f"{began} {own.random()} {DICE.random()}"  # !random
"""
    )


# -- which functions -------------------------------------------------------------------------------------------------


def test_only_what_runs_in_a_task_is_looked_at() -> None:
    check(
        """
import random
import time

STARTED = time.time()

def price() -> float:
    return random.random()  # !random

def deeper() -> float:
    return helper()

def helper() -> float:
    return time.time()  # !clock

def unrelated() -> float:
    return time.time()

@agent
async def triage(ctx: Context, word: str) -> str:
    return f"{price()} {deeper()}"

async def with_context(ctx: Context) -> float:
    return time.time()  # !clock

async def another_context(ctx: str) -> float:
    return time.time()
"""
    )


def test_what_is_handed_to_run_and_to_loop_is_outside() -> None:
    check(
        """
import functools
import time
import requests

def fetch(url: str) -> str:
    return requests.get(url).text

async def refund(order: str) -> str:
    return f"{order} {time.time()}"

@agent
async def triage(ctx: Context, word: str) -> str:
    def inner() -> str:
        return requests.get(word).text

    await ctx.run(inner)
    await ctx.run(lambda: requests.get(word).text)
    await ctx.run(functools.partial(fetch, word))
    await ctx.run(time.time, name="clock")
    await ctx.run(functools.partial(fetch, str(time.time())))  # !clock
    return await ctx.loop("You refund.", prompt=word, tools=[refund, lambda: time.time()])
"""
    )


def test_what_is_called_before_run_gets_it_is_not() -> None:
    check(
        """
import requests

async def fetch(url: str) -> str:
    return requests.get(url).text  # !network

@agent
async def triage(ctx: Context, word: str) -> str:
    return await ctx.run(fetch(word))
"""
    )


def test_nested_functions_methods_and_callbacks() -> None:
    check(
        """
import os
import random
import time

class Desk:
    def __init__(self, word: str) -> None:
        self.name = os.getenv(word)  # !environment

    def work(self) -> float:
        return self.inner()

    def inner(self) -> float:
        return random.random()  # !random

    def unused(self) -> float:
        return random.random()

def score(word: str) -> float:
    return time.time()  # !clock

@agent(name="other")
async def triage(ctx: Context, word: str) -> str:
    desk = Desk(word)

    async def inner() -> float:
        return time.time()  # !clock

    async def never() -> float:
        return time.time()

    asyncio.get_running_loop().call_later(5, score, word)
    sorted([word], key=lambda one: random.random())  # !random
    await asyncio.gather(inner(), asyncio.sleep(1))
    return f"{desk.work()} {max([word], key=score)}"
"""
    )


def test_an_agent_inside_a_test_and_by_another_import() -> None:
    check(
        """
import time
import aiosv3.agents as sdk
from aiosv3.agents import agent as durable

def test_it() -> None:
    @sdk.agent
    async def one(context, word: str) -> str:
        return str(time.time())  # !clock

    @durable(budget="1")
    async def two(context, word: str) -> str:
        await context.run(lambda: time.time())
        return str(time.time())  # !clock

@staticmethod
async def three(ctx, word: str) -> str:
    return str(time.time())
"""
    )


# -- waits -----------------------------------------------------------------------------------------------------------


def test_steps_that_nobody_awaits() -> None:
    check(
        """
async def helper(ctx: Context) -> str:
    ctx.run(len)  # !missing-await
    return await ctx.generate("x")

@agent
async def triage(ctx: Context, word: str) -> str:
    ctx.generate(word)  # !missing-await
    lost = ctx.call("other", word)  # !missing-await
    helper(ctx)  # !missing-await
    asyncio.sleep(3)  # !missing-await
    asyncio.gather(ctx.generate("a"), ctx.generate("b"))  # !missing-await
    ctx.send("other", word)
    first, second = ctx.generate("a"), ctx.generate("b")
    later = ctx.call("other", word)
    asyncio.create_task(helper(ctx))
    both = await asyncio.gather(first, second)
    if word:
        return await later
    return ctx.generate(str(both))  # !missing-await
"""
    )


def test_a_cancel_is_not_swallowed() -> None:
    check(
        """
import contextlib
from asyncio import CancelledError

@agent
async def triage(ctx: Context, word: str) -> str:
    try:
        await ctx.generate(word)
    except:  # !swallow
        pass
    try:
        await ctx.generate(word)
    except (ValueError, BaseException):  # !swallow
        word = "x"
    try:
        await ctx.generate(word)
    except CancelledError:  # !swallow
        pass
    with contextlib.suppress(BaseException):  # !swallow
        await ctx.generate(word)
    try:
        await ctx.generate(word)
    except BaseException:
        word = "y"
        raise
    except Exception:
        pass
    with contextlib.suppress(ValueError):
        await ctx.generate(word)
    return word
"""
    )


def test_a_cancel_of_ones_own_may_be_caught() -> None:
    body(
        "child = asyncio.create_task(ctx.generate(word))",
        "child.cancel()",
        "try:",
        "    await child",
        "except asyncio.CancelledError:",
        "    pass",
        "return word",
    )


# -- sets ------------------------------------------------------------------------------------------------------------


def test_the_order_of_a_set() -> None:
    check(
        """
class Ticket:
    tags: set[str]
    names: list[str]

async def one(ctx: Context, tag: str) -> str:
    return await ctx.generate(tag)

@agent
async def triage(ctx: Context, ticket: Ticket) -> str:
    found: list[str] = []
    words = {"a", "b"}
    for tag in ticket.tags:  # !set-order
        await ctx.generate(tag)
    for tag in words | ticket.tags:  # !set-order
        found.append(tag)
    text = ", ".join(words)  # !set-order
    text += str(list(frozenset(found)))  # !set-order
    text += f"{words}"  # !set-order
    await asyncio.gather(*[ctx.generate(tag) for tag in words])  # !set-order
    await asyncio.gather(*words)  # !set-order
    for done in asyncio.as_completed([one(ctx, tag) for tag in ticket.names]):  # !set-order
        await done
    return text

@agent
async def careful(ctx: Context, ticket: Ticket) -> str:
    words = set(ticket.names)
    count = 0
    for tag in words:
        count += len(tag)
    for tag in sorted(words):
        await ctx.generate(tag)
    for name in ticket.names:
        await ctx.generate(name)
    for done in asyncio.as_completed([ctx.generate(tag) for tag in ticket.names]):
        await done
    if any(tag in ticket.names for tag in words) and "x" in words:
        count += sum(len(tag) for tag in words) + max(len(tag) for tag in words)
    return ", ".join(sorted(words)) + str(count)
"""
    )


# -- shared variables --------------------------------------------------------------------------------------------------


def test_variables_that_tasks_share() -> None:
    check(
        """
import itertools
from typing import Final

PRICES: Final = {"a": 1}
SEEN: dict[str, int] = {}
COUNTER = itertools.count()
PAID: dict[str, int] = {}
total = 0

class Totals:
    all = 0

def pay(order: str) -> None:
    PAID[order] = 1

@agent
async def triage(ctx: Context, word: str) -> str:
    global total  # !global-state
    total += 1
    SEEN[word] = 1  # !global-state
    number = next(COUNTER)  # !global-state
    Totals.all += 1  # !global-state
    own: dict[str, int] = {}
    own[word] = PRICES["a"]
    await ctx.run(lambda: pay(word))
    return f"{own} {number} {PAID}"  # !global-state
"""
    )


# -- comments ----------------------------------------------------------------------------------------------------------


def test_a_comment_hides_the_rules_that_it_names() -> None:
    check(
        """
import time
import uuid

@agent
async def triage(ctx: Context, word: str) -> str:
    a = time.time()  # aios: ignore[clock]
    b = str(
        time.time()
    )  # aios: ignore[clock]
    c = f"{time.time()} {uuid.uuid4()}"  # aios: ignore[clock, uuid]
    d = f"{time.time()} {uuid.uuid4()}"  # aios: ignore[uuid] # !clock
    e = "# aios: ignore[clock]"
    return f"{a}{b}{c}{d}{e}"
"""
    )


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("ignore[clock]", "hides nothing"),
        ("ignore[clocks]", "there is no such rule"),
        ("ignore", "it must name a rule, as in # aios: ignore[clock]"),
    ],
)
def test_a_comment_that_hides_nothing_is_said(comment: str, words: str) -> None:
    (found,) = check_source(f"x = 1\ny = 2  # aios: {comment}\n", "a.py")
    assert (found.line, found.rule) == (2, "unused-ignore")
    assert words in found.message


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_finding_says_where_what_and_what_instead() -> None:
    source = f"{_HEAD}from time import time as t\n\ndef helper() -> float:\n    return t()\n\n"
    source += "@agent\nasync def triage(ctx: Context, word: str) -> str:\n    return str(helper())\n"
    (found,) = check_source(source, "agents.py")
    assert found.text() == (
        "agents.py:7:12: error[clock] t() (time.time) reads a clock of the worker, which is another one after a "
        "restart; instead: ctx.now()"
    )
    assert found.datum() == {
        "file": "agents.py",
        "line": 7,
        "column": 12,
        "rule": "clock",
        "severity": "error",
        "message": "t() (time.time) reads a clock of the worker, which is another one after a restart",
        "instead": "ctx.now()",
        "function": "helper",
    }


@pytest.mark.parametrize(
    ("imports", "call", "meant"),
    [
        ("import datetime", "datetime.datetime.now()", "datetime.datetime.now() reads"),
        ("from datetime import datetime", "datetime.now()", "datetime.now() reads"),
        ("from time import time", "time()", "time() reads"),
        ("from time import time as e", "e()", "e() (time.time) reads"),
        ("", "word.read_text()", "word.read_text() touches"),
        ("", "open(word)", "open() touches"),
    ],
)
def test_the_full_name_is_said_where_the_code_does_not(imports: str, call: str, meant: str) -> None:
    source = f"{imports}{_HEAD}@agent\nasync def triage(ctx: Context, word: str) -> str:\n    return str({call})\n"
    (found,) = check_source(source, "a.py")
    assert found.message.startswith(meant)


def test_what_cannot_be_sorted_is_said_otherwise() -> None:
    source = f"{_HEAD}async def one() -> None: ...\n\n@agent\nasync def triage(ctx: Context, word: str) -> str:\n"
    source += "    for done in asyncio.as_completed([one(), one()]):\n        await done\n    return ''.join({word})\n"
    assert [found.instead for found in check_source(source, "a.py")] == [
        "tasks, made in order by asyncio.create_task",
        "sorted(…)",
    ]


def test_every_rule_has_a_name_of_its_own_and_says_what_to_do() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.finds and rule.instead and rule.example for rule in RULES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id) for rule in RULES)


def test_what_is_not_python_is_the_callers_to_say() -> None:
    with pytest.raises(SyntaxError):
        check_source("def (", "a.py")
