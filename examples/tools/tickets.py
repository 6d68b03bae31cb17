"""Tools of office/tickets, written by ``aiosv3 stubs``: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict, Unpack

from aiosv3.agents import tool


class FindInput(TypedDict):
    text: str


class Ticket(TypedDict):
    id: str
    text: str
    label: NotRequired[Literal["new", "billing", "outage"]]


class FindOutput(TypedDict):
    result: list[Ticket]


class LabelInput(TypedDict):
    ticket: str
    label: Literal["billing", "outage"]


class LabelOutput(TypedDict):
    id: str
    text: str
    label: NotRequired[Literal["new", "billing", "outage"]]


@tool(
    "office",
    "tickets",
    "find",
    idempotent=True,
)
def find(
    **arguments: Unpack[FindInput],
) -> FindOutput:
    """Tickets whose text has these words in it."""
    raise NotImplementedError


@tool(
    "office",
    "tickets",
    "label",
    idempotent=True,
)
def label(
    **arguments: Unpack[LabelInput],
) -> LabelOutput:
    """Says what a ticket is about."""
    raise NotImplementedError
