"""What an MCP tool said, as one JSON value."""

from __future__ import annotations

from typing import Any

from mcp_types import CallToolResult, TextContent

from aiosv3.tools.errors import ToolRefused


def value_of(result: CallToolResult) -> Any:
    """The structured content where there is some; else the text, where all is text; else the blocks as they came.

    Raises ToolRefused with what the tool said, where it says that it failed.
    """
    if result.is_error:
        raise ToolRefused(_text(result) or "the tool says that it failed, and not why")
    if "structured_content" in result.model_fields_set and result.structured_content is not None:
        return result.structured_content
    if all(isinstance(block, TextContent) for block in result.content):
        return _text(result)
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
