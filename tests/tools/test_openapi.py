from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from toolstage import served

from aiosv3.tools import ToolRefused
from aiosv3.tools.exchange import Exchange
from aiosv3.tools.openapi import BadDescription, OpenApiTools, base_url, read_description

TICKET: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "owner": {"$ref": "#/components/schemas/Person"}},
    "required": ["id"],
}
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.0.3",
    "servers": [{"url": "https://api.example/v2"}],
    "paths": {
        "/tickets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getTicket",
                "summary": "One ticket.",
                "parameters": [{"name": "deep", "in": "query", "schema": {"type": "boolean"}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/T"}}}}},
            },
            "patch": {
                "parameters": [{"name": "X-Reason", "in": "header", "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "object", "nullable": True}}},
                },
                "responses": {"204": {"description": "Done."}},
            },
        }
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "T": TICKET,
            "Person": {"type": "object", "properties": {"boss": {"$ref": "#/components/schemas/Person"}}},
            "Unused": {"type": "string"},
        },
    },
}


def tools(answer: Any) -> OpenApiTools:
    return OpenApiTools(Exchange("http://api.example", transport=httpx.MockTransport(answer)), DESCRIPTION)


async def test_each_operation_is_a_tool_with_its_types() -> None:
    specs = {spec.name: spec for spec in await tools(lambda _: httpx.Response(200)).tools()}
    assert set(specs) == {"getTicket", "patch_tickets_id"}
    one = specs["getTicket"]
    assert (one.description, one.repeatable) == ("One ticket.", True)
    assert one.input_schema["properties"] == {"id": {"type": "string"}, "deep": {"type": "boolean"}}
    assert one.input_schema["required"] == ["id"]
    assert one.output_schema is not None
    assert one.output_schema["$ref"] == "#/$defs/T"
    assert set(one.output_schema["$defs"]) == {"T", "Person"}
    other = specs["patch_tickets_id"]
    assert (other.repeatable, other.output_schema) == (False, None)
    assert other.input_schema["properties"]["body"] == {"anyOf": [{"type": "object"}, {"type": "null"}]}


async def test_arguments_go_where_the_description_says() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"id": 7, "owner": {"boss": {}}})

    one = served(tools(answer))
    assert (await one.call("getTicket", {"id": "a b", "deep": True}, "t/1")).value["id"] == 7
    await one.call("patch_tickets_id", {"id": "7", "X-Reason": "why", "body": {"a": 1}}, "t/1")
    assert [request.url.raw_path for request in sent] == [b"/tickets/a%20b?deep=true", b"/tickets/7"]
    assert sent[1].headers["x-reason"] == "why"
    assert json.loads(sent[1].content) == {"a": 1}
    for identity in ("../admin", "..", "a/../../admin"):
        with pytest.raises(ToolRefused, match="is no path"):
            await one.call("getTicket", {"id": identity}, "t/1")
    with pytest.raises(ToolRefused, match="'id' is missing"):
        await one.call("getTicket", {}, "t/1")
    await one.aclose()
    assert len(sent) == 2


def test_descriptions() -> None:
    assert read_description(json.dumps(DESCRIPTION).encode())["openapi"] == "3.0.3"
    for raw in (b"openapi: 3.0.0", b"[]", b'{"swagger": "2.0"}'):
        with pytest.raises(BadDescription):
            read_description(raw)
    assert base_url(DESCRIPTION) == "https://api.example/v2"
    assert base_url({"servers": [{"url": "/v2"}]}) is None
    with pytest.raises(BadDescription, match="which it does not have"):
        OpenApiTools(Exchange("http://x"), {"paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/no"}]}}}})
    twice = {"operationId": "same", "responses": {}}
    with pytest.raises(BadDescription, match="two operations are named same"):
        OpenApiTools(Exchange("http://x"), {"paths": {"/a": {"get": twice, "put": twice}}})
