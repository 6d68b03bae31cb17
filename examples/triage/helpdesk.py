"""Tools of office/helpdesk, written by ``aiosv3 stubs``: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict, Unpack

from aiosv3.agents import tool


class UpdateInput(TypedDict):
    ticket: str
    label: Literal["refund", "question", "outage"]


UpdateOutputLabel = Literal[
    "new",
    "refund",
    "question",
    "outage",
]


class UpdateOutput(TypedDict):
    id: str
    label: NotRequired[UpdateOutputLabel]


@tool(
    "office",
    "helpdesk",
    "update",
    idempotent=True,
)
def update(
    **arguments: Unpack[UpdateInput],
) -> UpdateOutput:
    """Says what a ticket is about."""
    raise NotImplementedError
