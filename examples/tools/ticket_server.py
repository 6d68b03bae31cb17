"""A ticket system as an MCP server over stdio: a few tickets in memory."""

from __future__ import annotations

from typing import Literal

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("tickets")


class Ticket(BaseModel):
    """One ticket."""

    id: str
    text: str
    label: Literal["new", "billing", "outage"] = "new"


TICKETS = {
    "T-1": Ticket(id="T-1", text="I was charged twice."),
    "T-2": Ticket(id="T-2", text="Nothing works since this morning."),
}


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find(text: str) -> list[Ticket]:
    """Tickets whose text has these words in it."""
    return [ticket for ticket in TICKETS.values() if text.lower() in ticket.text.lower()]


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def label(ticket: str, label: Literal["billing", "outage"]) -> Ticket:
    """Says what a ticket is about."""
    TICKETS[ticket] = TICKETS[ticket].model_copy(update={"label": label})
    return TICKETS[ticket]


if __name__ == "__main__":
    server.run()
