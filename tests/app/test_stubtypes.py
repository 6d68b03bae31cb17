from __future__ import annotations

from aiosv3.app.stubtypes import Names, Types, pascal, snake


def test_names() -> None:
    assert [pascal(text) for text in ("get-ticket", "X", "2nd", "", "ärger")] == ["GetTicket", "X", "T2nd", "T", "Rger"]
    assert [snake(text) for text in ("get-ticket", "2nd tool!", "getTicket")] == [
        "get_ticket",
        "t_2nd_tool",
        "getTicket",
    ]
    names = Names()
    assert [names.take("a"), names.take("a"), names.take("list"), names.take("class")] == [
        "a",
        "a_2",
        "list_2",
        "class_2",
    ]


def test_types_of_answers() -> None:
    blocks: list[str] = []
    used: set[str] = set()
    types = Types(Names(), blocks, used)
    assert types.answer(None, "A") == "str"
    assert types.answer({"type": "array", "items": {"type": "integer"}}, "A") == "list[int]"
    assert types.answer({"enum": [1, "a", None, True]}, "A") == 'Literal[1, "a", None, True]'
    assert types.answer({"enum": [1.5]}, "A") == "Any"
    assert types.answer({"type": "object", "additionalProperties": {"type": "string"}}, "A") == "dict[str, str]"
    assert (blocks, used) == ([], {"Literal", "Any"})
    assert types.answer({"type": "object", "properties": {"from": {"type": "string"}}}, "A") == "A"
    assert blocks == ['A = TypedDict(\n    "A",\n    {\n        "from": "NotRequired[str]",\n    },\n)\n']
