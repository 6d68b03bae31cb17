"""Tools of office/crm, written by ``aiosv3 stubs``: do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict, Unpack

from aiosv3.agents import tool


class Node(TypedDict):
    name: str
    below: NotRequired[list[Node]]


GetTicketInput = TypedDict(
    "GetTicketInput",
    {
        "id": "str",
        "class": "NotRequired[str]",
        "X-Reason": "NotRequired[Literal['a', 'b', None]]",
        "tree": "NotRequired[Node]",
    },
)


class Node2(TypedDict):
    name: str
    below: NotRequired[list[Node2]]


ListInputState = Literal[
    "state number 0",
    "state number 1",
    "state number 2",
    "state number 3",
    "state number 4",
    "state number 5",
    "state number 6",
    "state number 7",
]


ListInputQuoted = Literal[
    'a"b',
    "c'd",
]


ListInputARatherLongNameOfAPropertyThatS = TypedDict(
    "ListInputARatherLongNameOfAPropertyThatS",
    {
        "a_rather_long_name_of_a_property_that_somebody_once_thought_was_fine": "NotRequired[list[bool]]",
    },
)


class ListInputWide(TypedDict):
    field0: NotRequired[int]


class ListInputWide2(TypedDict):
    field1: NotRequired[int]


class ListInputWide3(TypedDict):
    field2: NotRequired[int]


class ListInputWide4(TypedDict):
    field3: NotRequired[int]


class ListInputWide5(TypedDict):
    field4: NotRequired[int]


class ListInputWide6(TypedDict):
    field5: NotRequired[int]


ListInput = TypedDict(
    "ListInput",
    {
        "state": "NotRequired[ListInputState]",
        "quoted": "NotRequired[ListInputQuoted]",
        "limit": "NotRequired[int | None]",
        "either": "NotRequired[str | float]",
        "a_rather_long_name_of_a_property_that_somebody_once_thought_was_fine": "NotRequired[ListInputARatherLongNameOfAPropertyThatS]",
        "map": "NotRequired[dict[str, int]]",
        "wide": "NotRequired[Any]",
        "loop": "NotRequired[Any]",
        "free": "NotRequired[Any]",
    },
)


class ListOutputItem(TypedDict):
    n: Literal[1]


@tool(
    "office",
    "crm",
    "2nd tool!",
)
def t_2nd_tool(
    **arguments: Any,
) -> dict[str, Any]:
    """Not a name."""
    raise NotImplementedError


@tool(
    "office",
    "crm",
    "anything",
    idempotent=True,
)
def anything(
    **arguments: Any,
) -> str:
    """Says "hi'"""
    raise NotImplementedError


@tool(
    "office",
    "crm",
    "get-ticket",
    idempotent=True,
)
def get_ticket(
    **arguments: Unpack[GetTicketInput],
) -> Node2:
    """One ticket, with all that belongs to it, \\ and a description that is so
    long that it has to be broken into several lines, which end with a
    '''quote'''
    """
    raise NotImplementedError


@tool(
    "office",
    "crm",
    "list",
)
def list_2(
    **arguments: Unpack[ListInput],
) -> list[ListOutputItem]:
    """Shadows a builtin."""
    raise NotImplementedError


@tool(
    "office",
    "crm",
    "list_",
)
def list_3(
    **arguments: Any,
) -> Any:
    """Nearly the same name."""
    raise NotImplementedError


@tool(
    "office",
    "crm",
    "ping",
)
def ping() -> str:
    raise NotImplementedError
