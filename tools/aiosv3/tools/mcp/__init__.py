"""MCP clients: servers of both protocol eras, over stdio and streamable HTTP. Needs ``aiosv3[mcp]``.

Nothing of the MCP SDK is imported before a server of this kind is opened.
"""

__all__: list[str] = []
