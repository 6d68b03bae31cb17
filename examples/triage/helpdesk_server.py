"""A helpdesk as an MCP server over stdio: a few tickets in memory."""

from __future__ import annotations

from typing import Literal

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("helpdesk")


class Ticket(BaseModel):
    """One ticket."""

    id: str
    label: Literal["new", "refund", "question", "outage"] = "new"


TICKETS: dict[str, Ticket] = {}


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def update(ticket: str, label: Literal["refund", "question", "outage"]) -> Ticket:
    """Says what a ticket is about."""
    TICKETS[ticket] = Ticket(id=ticket, label=label)
    return TICKETS[ticket]


if __name__ == "__main__":
    server.run()
