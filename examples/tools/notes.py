"""Tools of office/notes, written by ``aiosv3 stubs``: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict, Unpack

from aiosv3.agents import tool


class ListInput(TypedDict):
    path: NotRequired[str]


class ListOutputItem(TypedDict):
    name: str
    kind: Literal["file", "folder", "other"]
    bytes: int


class ReadInput(TypedDict):
    path: str


class WriteInput(TypedDict):
    path: str
    text: str


class WriteOutput(TypedDict):
    bytes: int


@tool(
    "office",
    "notes",
    "list",
    idempotent=True,
)
def list_2(
    **arguments: Unpack[ListInput],
) -> list[ListOutputItem]:
    """What is in a folder."""
    raise NotImplementedError


@tool(
    "office",
    "notes",
    "read",
    idempotent=True,
)
def read(
    **arguments: Unpack[ReadInput],
) -> str:
    """The text of a file."""
    raise NotImplementedError


@tool(
    "office",
    "notes",
    "write",
    idempotent=True,
)
def write(
    **arguments: Unpack[WriteInput],
) -> WriteOutput:
    """Writes a text file, in the place of what was there."""
    raise NotImplementedError
