"""Golden tasks: what a line may say, and what its checks let pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiosv3.app.golden import Ended, read_golden
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.records import Outcome

OUTPUT = {"label": "refund", "usd": 12.0, "lines": [{"n o": 1}, {"n o": 2}], "open": True}


def complaint(expect: Any, output: Any = OUTPUT) -> str | None:
    line = json.dumps({"id": "a", "input": {}, "expect": expect})
    (golden,) = read_golden(line, "golden.jsonl")
    return golden.complaint(Ended(Outcome.OK, output))


@pytest.mark.parametrize(
    ("expect", "output"),
    [
        ("text", "text"),
        (12, 12.0),
        (None, None),
        ([1, {"a": 2}], [1.0, {"a": 2}]),
        ({"label": "refund"}, {"label": "refund"}),
        ({}, {}),
        ({"equals": {"$.a": 1}}, {"$.a": 1}),
        ({"equals": {"contains": "x"}}, {"contains": "x"}),
        ({"$": OUTPUT}, OUTPUT),
        ({"$.label": "refund", "$.usd": 12}, OUTPUT),
        ({'$.lines[0]["n o"]': 1, '$.lines[-1]["n o"]': 2}, OUTPUT),
        ({'$["a\\"b"]': 1}, {'a"b': 1}),
        ({"contains": "efun"}, "a refund"),
        ({"contains": ["refund", "true"]}, OUTPUT),
        ({"contains": "größer"}, {"text": "größer"}),
        ({"schema": {"type": "object", "required": ["label"]}}, OUTPUT),
        ({"schema": {"properties": {"label": {"pattern": "^re"}}}, "$.open": True}, OUTPUT),
    ],
)
def test_what_passes(expect: Any, output: Any) -> None:
    assert complaint(expect, output) is None


@pytest.mark.parametrize(
    ("expect", "output", "why"),
    [
        ("text", "Text", 'expected "text", got "Text"'),
        (1, True, "expected 1, got true"),
        ({"a": [1]}, {"a": [True]}, 'expected {"a": [1]}, got {"a": [true]}'),
        ({"a": 1}, {"a": 1, "b": 2}, 'expected {"a": 1}, got {"a": 1, "b": 2}'),
        ([1], [1, 2], "expected [1], got [1, 2]"),
        ({"$.label": "question"}, OUTPUT, '$.label: expected "question", got "refund"'),
        ({"$.lines[2]": None}, {"lines": [1]}, '$.lines[2]: expected null, but there is nothing in {"lines": [1]}'),
        ({"$.a.b": None}, {"a": "text"}, '$.a.b: expected null, but there is nothing in {"a": "text"}'),
        ({"contains": ["a", "b"]}, "a", 'expected "b" in it, got "a"'),
        ({"schema": {"properties": {"label": {"pattern": "^x"}}}}, OUTPUT, "$.label: 'refund' does not match '^x'"),
        ({"$.usd": 12, "contains": "x"}, {"usd": 12}, 'expected "x" in it, got {"usd": 12}'),
    ],
)
def test_what_does_not_pass_and_why(expect: Any, output: Any, why: str) -> None:
    assert complaint(expect, output) == why


def test_a_long_output_is_shortened() -> None:
    assert len(complaint("x", "y" * 10_000) or "") < 200


@pytest.mark.parametrize(
    ("expect", "ended", "why"),
    [
        ({"fails": "Denied"}, Ended(Outcome.FAILED, None, ("Denied", "no")), None),
        ({"fails": "Denied"}, Ended(Outcome.FAILED, None, ("ValueError", "no")), "FAILED: ValueError: no"),
        ({"fails": "Denied"}, Ended(Outcome.OK, "x"), 'expected it to fail with Denied, got "x"'),
        ("x", Ended(Outcome.FAILED, "x", ("Denied", "no")), "FAILED: Denied: no"),
        ("x", Ended(Outcome.CANCELLED, None, ("Cancelled", "by hand")), "CANCELLED: Cancelled: by hand"),
    ],
)
def test_failures_pass_only_where_they_are_expected(expect: Any, ended: Ended, why: str | None) -> None:
    (golden,) = read_golden(json.dumps({"id": "a", "input": 1, "expect": expect}), "golden.jsonl")
    assert golden.complaint(ended) == why


def test_a_file_is_read_with_its_empty_lines_passed_over() -> None:
    text = '{"id": "a", "input": 1, "expect": 2}\n\n  \n{"id": "b-1.x", "input": null, "expect": 3, "key": "k"}\n'
    found = read_golden(text, "golden.jsonl")
    assert [(golden.line, golden.id, golden.input, golden.key) for golden in found] == [
        (1, "a", 1, None),
        (4, "b-1.x", None, "k"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "this is not JSON"),
        ("[1]", "a golden task is an object"),
        ('{"id": "a", "expect": 1}', "input is missing"),
        ('{"id": "a", "input": 1, "expect": 1, "note": ""}', "unknown field 'note'"),
        ('{"id": "a b", "input": 1, "expect": 1}', "id must be text of letters"),
        ('{"id": 7, "input": 1, "expect": 1}', "id must be text of letters"),
        ('{"id": "a", "input": 1, "expect": 1, "key": 3}', "key must be text"),
        ('{"id": "a", "input": 1, "expect": {"$.a": 1, "b": 2}}', "expect mixes checks with 'b'"),
        ('{"id": "a", "input": 1, "expect": {"$a": 1}}', "'$a' is no path at 'a'"),
        ('{"id": "a", "input": 1, "expect": {"$.a[x]": 1}}', "is no path at '[x]'"),
        ('{"id": "a", "input": 1, "expect": {"contains": 3}}', '"contains" takes a text'),
        ('{"id": "a", "input": 1, "expect": {"contains": []}}', '"contains" takes a text'),
        ('{"id": "a", "input": 1, "expect": {"schema": 3}}', '"schema" takes a JSON Schema'),
        ('{"id": "a", "input": 1, "expect": {"schema": {"type": "txt"}}}', '"schema" is no JSON Schema'),
        ('{"id": "a", "input": 1, "expect": {"fails": "E", "$.a": 1}}', '"fails" stands alone'),
        ('{"id": "a", "input": 1, "expect": {"fails": 1}}', '"fails" stands alone'),
        ('{"id": "a", "input": 1, "expect": 1}\n{"id": "a", "input": 1, "expect": 1}', "id 'a' is in line 1 too"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_why(line: str, why: str) -> None:
    last = line.count("\n") + 1
    with pytest.raises(SettingsError) as raised:
        read_golden(line, "golden.jsonl")
    assert str(raised.value).startswith(f"golden.jsonl, line {last}: ")
    assert why in str(raised.value)


def test_every_wrong_line_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)line 1: .*\n.*line 3: "):
        read_golden('[]\n{"id": "a", "input": 1, "expect": 1}\n{', "golden.jsonl")


def test_an_empty_file_is_no_gate() -> None:
    with pytest.raises(SettingsError, match=r"golden\.jsonl holds no golden task"):
        read_golden("\n\n", "golden.jsonl")
