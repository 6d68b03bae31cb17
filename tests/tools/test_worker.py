"""A tool worker as an effector, and one task from the agent to the tool and back."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest
from toolstage import NOW, Scripted, Stage, request, served, until

from aiosv3.agents import ClearanceDenied, Context, Secret, StepTimeout, Tool, ToolFailed, tool
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import JournalRecord, Outcome
from aiosv3.schemas.tooling import ToolResult
from aiosv3.streams.effector import Unresolved
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import MemoryClaims
from aiosv3.tools import ServedTools, ServerPolicy, ServerUnavailable, ToolWorker, Zone

if TYPE_CHECKING:
    from aiosv3.streams.effector import Request

Children = Callable[..., AbstractAsyncContextManager[ServedTools]]
OFFICE = Zone("office", Clearance.INTERNAL, max_bytes=1_000, hard_bytes=5_000, preview=20)


def worker(codec: Codec, server: Scripted, claims: MemoryClaims | None = None, **rules: Any) -> ToolWorker:
    policy = ServerPolicy(backoff=0.0, **rules)
    return ToolWorker(OFFICE, {"crm": served(server, policy)}, codec, lambda: NOW, claims)


async def result(codec: Codec, made: ToolWorker, asked: Request) -> ToolResult:
    outcome = made.work(asked, epoch=4)
    answer = await outcome if inspect.isawaitable(outcome) else outcome
    return codec.decode_as(ToolResult, answer.value or b"")


async def test_an_answer_is_on_the_own_log_and_goes_to_the_asker(codec: Codec) -> None:
    server = Scripted({"ask": {"n": 1}})
    made = worker(codec, server)
    asked = request(codec, made, content='{"a": "b"}')
    outcome = made.work(asked, epoch=4)
    assert not isinstance(outcome, Outgoing)
    answer = await outcome
    said = codec.decode_as(ToolResult, answer.value or b"")
    assert (said.outcome, said.zone, said.server, said.tool, said.calls) == (Outcome.OK, "office", "crm", "ask", 1)
    assert (said.input_offset, said.epoch, said.request_hash, said.first_sent) == (42, 4, "h1", NOW)
    assert (server.calls[0].key, server.calls[0].arguments) == ("task-1/2", {"a": "b"})
    onward = made.forward(asked, answer)
    assert onward is not None
    back = codec.decode_as(JournalRecord, onward.value or b"")
    assert (onward.topic, onward.partition, back.token, back.request_hash) == ("aios.journal.a", 1, "tok", "h1")
    assert (back.content, back.claim) == ('{"n":1}', None)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"clearance": Clearance.CONFIDENTIAL}, "ClearanceDenied"),
        ({"exp": NOW}, "StepTimeout"),
        ({"content": b"sealed"}, "ClearanceDenied"),
    ],
)
async def test_what_must_not_be_called_is_answered_at_once(codec: Codec, change: dict[str, Any], kind: str) -> None:
    server = Scripted({"ask": 1})
    made = worker(codec, server)
    said = await result(codec, made, request(codec, made, **change))
    assert said.error is not None
    assert (said.error.type, said.calls, server.calls) == (kind, 0, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server": "other"}, "no server 'other'; it has crm"),
        ({"tool": "other"}, "no tool 'other'; there is ask"),
        ({"content": "[1]"}, "no JSON object"),
        ({"content": "{"}, "no JSON"),
    ],
)
async def test_what_cannot_be_called_fails_in_words(codec: Codec, change: dict[str, Any], words: str) -> None:
    server = Scripted({"ask": 1})
    made = worker(codec, server)
    said = await result(codec, made, request(codec, made, **change))
    assert said.error is not None
    assert said.error.type == "ToolFailed"
    assert words in said.error.message
    assert server.calls == []


async def test_a_long_answer_goes_to_the_claim_store(codec: Codec) -> None:
    claims, text = MemoryClaims(), "ä" * 600
    made = worker(codec, Scripted({"ask": text}), claims)
    asked = request(codec, made)
    said = await result(codec, made, asked)
    assert said.claim is not None
    assert json.loads(claims.stored[said.claim]) == text
    assert json.loads(str(said.content)) == '"' + "ä" * 19


async def test_a_long_answer_without_a_store_and_one_that_is_too_long_fail(codec: Codec) -> None:
    for text, claims in (("x" * 1_500, None), ("x" * 6_000, MemoryClaims())):
        made = worker(codec, Scripted({"ask": text}), claims)
        said = await result(codec, made, request(codec, made))
        assert said.error is not None
        assert "AnswerTooLarge" in said.error.message
        assert (said.content, said.claim, said.calls) == (None, None, 1)


async def test_an_answer_that_is_no_json_or_no_text_for_a_log_is_no_crash(codec: Codec) -> None:
    made = worker(codec, Scripted({"ask": [float("nan"), "half \ud800"]}))
    first = await result(codec, made, request(codec, made))
    assert first.error is not None
    assert "AnswerMalformed" in first.error.message
    assert (await result(codec, made, request(codec, made))).content == '"half ?"'


async def test_work_never_raises_so_that_nothing_is_called_twice(codec: Codec) -> None:
    made = worker(
        codec, server := Scripted({"ask": [RuntimeError("a bug of \ud800 the SDK"), asyncio.CancelledError()]})
    )
    for words in ("unexpected RuntimeError", "cancelled its own call"):
        said = await result(codec, made, request(codec, made))
        assert said.error is not None
        assert words in said.error.message
    assert len(server.calls) == 2


async def test_a_deadline_that_passes_during_the_call_is_a_step_timeout(codec: Codec) -> None:
    now = [NOW]

    async def hangs() -> None:
        now[0] += 1_000
        await asyncio.Event().wait()

    server = Scripted({"ask": lambda _call: hangs()})
    made = ToolWorker(OFFICE, {"crm": served(server)}, codec, lambda: now[0])
    said = await result(codec, made, request(codec, made, exp=NOW + 50))
    assert said.error is not None
    assert said.error.type == "StepTimeout"


async def test_refusals_poison_and_unknown_schemas(codec: Codec) -> None:
    made = worker(codec, Scripted({}))
    good = request(codec, made)
    answer = made.refuse(good, AiosError("too old"), epoch=4)
    assert answer is not None
    error = codec.decode_as(ToolResult, answer.value or b"").error
    assert error is not None
    assert "too old" in error.message
    for value in (None, b"garbage"):
        with pytest.raises(MalformedValue):
            made.read(good.record._replace(value=value))
    waiting = made.read(good.record._replace(value=b"\0\x3b\x9a\xca\x00\x02"))
    assert isinstance(waiting, Unresolved)
    waiting.wait.close()  # type: ignore[attr-defined]


# -- from the agent to the tool and back ------------------------------------------------------------------------------


@tool("office", "crm")
def double(*, number: int) -> dict[str, int]:
    """Twice the number."""
    raise NotImplementedError


ECHO: Tool[..., Any] = Tool("office", "crm", "echo")


async def test_a_task_calls_a_tool_of_a_stdio_server(stage: Stage, child: Children) -> None:
    async def program(ctx: Context, _value: str) -> Any:
        return await asyncio.gather(ctx.call(double, number=4), ctx.call(ECHO.pinned("again"), text="hi"))

    async with child("plain.py") as server, stage.running(program, {"crm": server}):
        stage.task("t1")
        done = await stage.result("t1")
    assert (done.outcome, done.content) == (Outcome.OK, [{"number": 8}, "hi"])
    assert {said.request_id for said in stage.tool_results()} == {"t1/1", "t1/=again"}
    (first, _) = stage.broker.records(stage.topics.tools("office"), 0)[-2:]
    assert [name for name, _ in first.headers] == [
        *("ce_id", "ce_source", "ce_type", "ce_specversion", "content-type", "traceparent"),
        *("aios-grant", "aios-route", "aios-reply"),
    ]
    assert first.key == b"t1"


async def test_a_task_above_the_zone_is_refused_before_anything_is_sent(stage: Stage) -> None:
    server = Scripted({"echo": "never"})

    async def program(ctx: Context, _value: str) -> Any:
        try:
            return await ctx.call(ECHO, text="hi")
        except ClearanceDenied as error:
            return f"refused: {error}"

    async with stage.running(program, {"crm": served(server)}):
        stage.task("t1", clearance=Clearance.CONFIDENTIAL)
        assert "zone office may see internal data" in await stage.content("t1")
    assert server.calls == []
    assert all(record.value is None for record in stage.broker.records(stage.topics.tools("office"), 0))


async def test_a_zone_that_the_worker_does_not_know_is_refused(stage: Stage) -> None:
    async def program(ctx: Context, _value: str) -> Any:
        return await ctx.call(ECHO, text="hi")

    async with stage.running(program, {"crm": served(Scripted({"echo": "never"}))}, zones={}):
        stage.task("t1")
        failed = (await stage.result("t1")).error
    assert failed is not None
    assert failed.type == "ClearanceDenied"


async def test_what_reaches_the_zone_in_spite_of_the_sender_is_refused_there(stage: Stage) -> None:
    server = Scripted({"echo": "never"})

    async def program(ctx: Context, _value: str) -> Any:
        return await ctx.call(ECHO, text="hi")

    async with stage.running(program, {"crm": served(server)}, zones={"office": Clearance.RESTRICTED}):
        stage.task("t1", clearance=Clearance.CONFIDENTIAL)
        failed = (await stage.result("t1")).error
    assert failed is not None
    assert failed.type == "ClearanceDenied"
    assert server.calls == []


async def test_errors_of_tools_are_typed(stage: Stage) -> None:
    server = Scripted({"echo": [ServerUnavailable("gone"), 7]})

    async def program(ctx: Context, _value: str) -> Any:
        heard: list[str] = []
        for number in range(3):
            try:
                await ctx.call(Tool("office", "crm", "echo", output_type=str), n=number)
            except ToolFailed as error:
                heard.append(f"{error.retryable} {error}")
        return heard

    server.answers["echo"].append("fine")
    async with stage.running(program, {"crm": served(server)}):
        stage.task("t1")
        heard = await stage.content("t1")
    assert heard[0] == "True office/crm/echo: ServerUnavailable: crm: gone"
    assert "not of the declared type" in heard[1]
    assert len(heard) == 2


async def test_a_long_answer_reaches_the_agent_whole_and_again_in_a_replay(stage: Stage) -> None:
    text = "long " * 1_000

    async def program(ctx: Context, _value: str) -> Any:
        said = await ctx.call(ECHO, text="hi")
        await ctx.call(Tool("office", "crm", "wait"))
        return len(said)

    gate = asyncio.Event()
    server = Scripted({"echo": text, "wait": lambda _call: gate.wait()})
    zone = Zone("office", Clearance.INTERNAL, max_bytes=1_000)
    async with stage.running(program, {"crm": served(server)}, zone=zone):
        stage.task("t1")
        await until(lambda: [call.tool for call in server.calls] == ["echo", "wait"])
    assert text.encode() not in stage.everything()
    gate.set()
    async with stage.running(program, {"crm": served(server)}, zone=zone):
        assert await stage.content("t1") == len(text)
    assert [call.tool for call in server.calls].count("echo") == 1


async def test_a_task_whose_claim_is_lost_is_stuck_and_the_others_go_on(stage: Stage) -> None:
    async def program(ctx: Context, value: str) -> Any:
        said = await ctx.call(ECHO, text=value)
        return len(said)

    server = Scripted({"echo": lambda call: call.arguments["text"] * 2_000})
    zone = Zone("office", Clearance.INTERNAL, max_bytes=1_000)
    put = stage.claims.put

    async def loses(content: bytes) -> str:
        claim = await put(content)
        if b"lost" in content:
            del stage.claims.stored[claim]
        return claim

    stage.claims.put = loses  # type: ignore[method-assign]
    async with stage.running(program, {"crm": served(server)}, zone=zone):
        stage.task("t1", "lost")
        stage.task("t2", "kept")
        assert await stage.content("t2") == 8_000
        await until(lambda: any(record.task_id == "t1" and record.claim for record in stage.journal()))
    assert "t1" not in stage.results()


# -- secrets ----------------------------------------------------------------------------------------------------------

TOKEN = "s3cr3t/t0ken+of=crm"


async def test_no_topic_ever_holds_a_secret(stage: Stage, child: Children, caplog: pytest.LogCaptureFixture) -> None:
    """The tool gets it, in an argument and in its environment, and says it back in every way that it can think of."""

    async def program(ctx: Context, _value: str) -> Any:
        heard: list[Any] = []
        for name in ("echo", "error", "says_no", "packed", "tells", "malformed"):
            try:
                heard.append(await ctx.call(Tool("office", "crm", name), text=Secret("crm-token"), named=True))
            except ToolFailed as error:
                heard.append(str(error))
        heard.append(await ctx.call(Tool("office", "crm", "environment"), name="TOKEN"))
        return heard

    caplog.set_level("DEBUG")
    hostile = child("plain.py", "hostile", env={"TOKEN": f"Bearer {TOKEN}"}, secrets={"crm-token": TOKEN})
    async with hostile as server, stage.running(program, {"crm": server}):
        stage.task("t1")
        heard = await stage.content("t1")
    assert heard[0] == "[secret crm-token]"
    assert heard[-1] == "Bearer [secret crm-token]"
    everything = stage.everything()
    assert b'{"$secret":"crm-token"}' in everything
    assert TOKEN.encode() not in everything
    assert TOKEN not in caplog.text


async def test_a_secret_of_another_server_is_refused(stage: Stage) -> None:
    server = Scripted({"echo": lambda call: call.arguments})

    async def program(ctx: Context, _value: str) -> Any:
        return await ctx.call(ECHO, text=Secret("bank-key"))

    async with stage.running(program, {"crm": served(server, secrets={"crm-token": TOKEN})}):
        stage.task("t1")
        failed = (await stage.result("t1")).error
    assert failed is not None
    assert "may not use a secret 'bank-key'" in failed.message
    assert server.calls == []


async def test_data_cannot_name_a_secret(stage: Stage) -> None:
    """What a model made up, or read somewhere, looks like a secret: it is refused where it is sent."""

    async def program(ctx: Context, _value: str) -> Any:
        return await ctx.call(ECHO, text={"deep": [{"$secret": "crm-token"}]})

    async with stage.running(program, {"crm": served(Scripted({}), secrets={"crm-token": TOKEN})}):
        stage.task("t1")
        failed = (await stage.result("t1")).error
    assert failed is not None
    assert "only Secret(...) may stand for a secret" in failed.message


async def test_step_timeout_of_the_agent_is_its_own(stage: Stage) -> None:
    """A timeout around the call is a timer of the task, as for any other step."""

    async def program(ctx: Context, _value: str) -> Any:
        try:
            async with asyncio.timeout(0.05):
                return await ctx.call(ECHO, text="hi")
        except (TimeoutError, StepTimeout):
            return "late"

    server = Scripted({"echo": lambda _call: asyncio.Event().wait()})
    async with stage.running(program, {"crm": served(server)}):
        stage.task("t1")
        assert await stage.content("t1") == "late"
