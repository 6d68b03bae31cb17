"""A server under its policy: time, room, tries, and every end in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from toolstage import ANYTHING, Scripted, served

from aiosv3.tools import (
    AnswerMalformed,
    ServedTools,
    ServerPolicy,
    ServerUnavailable,
    ToolCall,
    ToolError,
    ToolRefused,
    ToolSpec,
    ToolTimeout,
)

Children = Callable[..., AbstractAsyncContextManager[ServedTools]]
GONE = ServerUnavailable("gone")


def policy(**rules: Any) -> ServerPolicy:
    return ServerPolicy(**{"timeout": 5.0, "backoff": 0.0, **rules})


@pytest.mark.parametrize(
    ("spec", "retry", "calls"),
    [
        (ToolSpec("pay", "", ANYTHING), None, 1),
        (ToolSpec("pay", "", ANYTHING, idempotent=True), None, 3),
        (ToolSpec("pay", "", ANYTHING, read_only=True), None, 3),
        (ToolSpec("pay", "", ANYTHING), True, 3),
        (ToolSpec("pay", "", ANYTHING, idempotent=True), False, 1),
    ],
)
async def test_only_what_may_be_repeated_is_tried_again(spec: ToolSpec, retry: bool | None, calls: int) -> None:
    server = Scripted({"pay": GONE}, specs=[spec])
    with pytest.raises(ServerUnavailable, match="crm: gone") as caught:
        await served(server, policy(retry=retry)).call("pay", {"n": 1}, "t/1")
    assert [call.key for call in server.calls] == ["t/1"] * calls
    assert caught.value.calls == calls


async def test_a_refusal_is_final_and_a_passing_fault_is_not() -> None:
    server = Scripted({"pay": [GONE, GONE, 7]}, specs=[ToolSpec("pay", "", ANYTHING, idempotent=True)])
    assert await served(server, policy()).call("pay", {}, "t/1") == (7, 3)
    server.answers["pay"] = [GONE, ToolRefused("no")]
    with pytest.raises(ToolRefused):
        await served(server, policy()).call("pay", {}, "t/1")
    assert len(server.calls) == 5


async def test_a_real_server_that_dies_in_the_middle(child: Children, tmp_path: Path) -> None:
    """What is not declared repeatable is called once, whatever happens; what is, again under the same key."""
    once, again = tmp_path / "once", tmp_path / "again"
    async with child("plain.py", "hostile") as server:
        with pytest.raises(ServerUnavailable, match="closed its output"):
            await server.call("dies", {"counted": str(once), "until": 3}, "t/1")
        assert once.read_text() == "x"
        assert await server.call("dies-repeatable", {"counted": str(again), "until": 3}, "t/2") == ("alive", 3)


async def test_time_is_limited_by_policy_tool_and_task() -> None:
    server = Scripted({"slow": lambda _call: asyncio.Event().wait()})
    for rules, left in ((policy(timeout=0.02), None), (policy(timeouts={"slow": 0.02}), None), (policy(), 0.02)):
        with pytest.raises(ToolTimeout, match=r"no answer within 0\.02 s"):
            await served(server, rules).call("slow", {}, "t/1", left)
    assert all(call.timeout <= 0.02 for call in server.calls)


async def test_waiting_for_room_counts_and_another_server_has_its_own() -> None:
    gate = asyncio.Event()
    slow = served(Scripted({"slow": lambda _call: gate.wait()}), policy(concurrency=1, timeout=0.05))
    first = asyncio.ensure_future(slow.call("slow", {}, "t/1", 0.05))
    await asyncio.sleep(0)
    with pytest.raises(ToolTimeout):
        await slow.call("slow", {}, "t/2", 0.01)
    assert (await served(Scripted({"fast": 1})).call("fast", {}, "t/3")).value == 1
    with pytest.raises(ToolTimeout):
        await first


async def test_shapes_are_checked_on_both_ways() -> None:
    number = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    server = Scripted({"f": {"n": "seven"}}, specs=[ToolSpec("f", "", number, number)])
    with pytest.raises(ToolRefused, match="the arguments do not fit f: value: 'n' is missing"):
        await served(server).call("f", {}, "t/1")
    assert server.calls == []
    with pytest.raises(AnswerMalformed, match="output schema"):
        await served(server).call("f", {"n": 1}, "t/1")


async def test_secrets_stay_out_of_values_words_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    token = "a-secret-token"
    says: dict[str, Any] = {
        "value": lambda call: {token: [call.arguments["t"], {"x": f"<{token}>"}]},
        "refuses": ToolRefused(f"bad token {token}"),
        "breaks": RuntimeError(f"cannot use {token}"),
        "cut": ToolRefused("x" * 1_985 + token),
    }
    one = served(Scripted(says), secrets={"crm": token})
    done = await one.call("value", {"t": {"$secret": "crm"}}, "t/1")
    assert done.value == {"[secret crm]": ["[secret crm]", {"x": "<[secret crm]>"}]}
    for name in ("refuses", "breaks", "cut"):
        with pytest.raises(ToolError) as caught:
            await one.call(name, {}, "t/1")
        assert token[:6] not in caught.value.message
    assert token not in caplog.text


async def test_a_call_that_is_cancelled_is_cancelled() -> None:
    server = Scripted({"slow": lambda _call: asyncio.Event().wait()})
    running = asyncio.ensure_future(served(server).call("slow", {}, "t/1"))
    while not server.calls:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_bug_in_a_server_is_a_failed_call() -> None:
    def breaks(_call: ToolCall) -> Awaitable[Any]:
        raise ExceptionGroup("of the SDK", [ValueError("inside")])

    with pytest.raises(ToolError, match="unexpected ExceptionGroup"):
        await served(Scripted({"f": breaks})).call("f", {}, "t/1")


async def test_listing_is_limited_and_closing_is_passed_on() -> None:
    server = Scripted({"f": 1})
    one = served(server)
    assert [spec.name for spec in await one.tools()] == ["f"]
    await one.aclose()
    assert server.closed


async def test_rule_06_no_call_begins_before_a_broker_has_answered_again() -> None:
    """Also not the second try: whoever slept in between may have lost its partition."""
    server = Scripted({"pay": [GONE, 7]}, specs=[ToolSpec("pay", "", ANYTHING, idempotent=True)])
    tools, asked = served(server, policy()), list[int]()

    def alive() -> bool:
        asked.append(len(server.calls))
        return len(asked) != 2

    tools.alive = alive
    assert await tools.call("pay", {}, "t/1") == (7, 2)
    assert asked == [0, 1, 1]
