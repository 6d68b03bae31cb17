from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from toolstage import served

from aiosv3.tools import ToolRefused
from aiosv3.tools.exchange import Exchange
from aiosv3.tools.web import HttpTools


def tools(**more: Any) -> tuple[HttpTools, list[httpx.Request]]:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"path": request.url.path, "body": request.content.decode()})

    return HttpTools(Exchange("http://api.example", transport=httpx.MockTransport(answer)), **more), sent


async def test_each_allowed_method_is_a_tool() -> None:
    made, _ = tools(methods=("GET", "POST"), paths=("/tickets/*",))
    specs = {spec.name: spec for spec in await made.tools()}
    assert set(specs) == {"get", "post"}
    assert (specs["get"].repeatable, specs["post"].repeatable) == (True, False)
    assert "body" not in specs["get"].input_schema["properties"]


async def test_only_what_is_allowed_is_asked_for() -> None:
    made, sent = tools(methods=("GET", "POST"), paths=("/tickets/*", "/public/**"))
    one = served(made)
    assert (await one.call("get", {"path": "/tickets/7", "query": {"q": 1}}, "t/1")).value["path"] == "/tickets/7"
    assert (await one.call("get", {"path": "/public/a/b"}, "t/1")).value["path"] == "/public/a/b"
    said = (await one.call("post", {"path": "/tickets/7", "body": {"a": 1}}, "t/1")).value
    assert json.loads(said["body"]) == {"a": 1}
    for tool, path in [("get", "/tickets/7/notes"), ("get", "/admin"), ("get", "/public/../admin"), ("delete", "/x")]:
        with pytest.raises(ToolRefused):
            await one.call(tool, {"path": path}, "t/1")
    assert len(sent) == 3
    await one.aclose()


def test_methods_are_known() -> None:
    for methods in (("TRACE",), ()):
        with pytest.raises(ValueError, match="methods"):
            tools(methods=methods)
