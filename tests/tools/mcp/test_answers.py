from __future__ import annotations

from typing import Any

import pytest
from mcp_types import CallToolResult

from aiosv3.tools import ToolRefused
from aiosv3.tools.mcp.answers import value_of

TEXT = {"type": "text", "text": "hi"}
IMAGE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ({"content": [TEXT]}, "hi"),
        ({"content": [TEXT, TEXT]}, "hi\nhi"),
        ({"content": []}, ""),
        ({"content": [TEXT], "structuredContent": {"n": 1}}, {"n": 1}),
        ({"content": [TEXT], "structuredContent": None}, "hi"),
        ({"content": [TEXT, IMAGE]}, [TEXT, IMAGE]),
    ],
)
def test_one_value_out_of_what_a_tool_said(result: dict[str, Any], value: Any) -> None:
    assert value_of(CallToolResult.model_validate(result)) == value


@pytest.mark.parametrize(("content", "words"), [([TEXT], "hi"), ([IMAGE], "not why"), ([], "not why")])
def test_a_tool_that_says_it_failed(content: list[Any], words: str) -> None:
    with pytest.raises(ToolRefused, match=words):
        value_of(CallToolResult.model_validate({"content": content, "isError": True}))
