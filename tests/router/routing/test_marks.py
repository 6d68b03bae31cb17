from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.routing.errors import RoutingFileError
from aiosv3.router.routing.marks import LARGEST, read_yaml


def fault(text: str) -> str:
    with pytest.raises(RoutingFileError) as raised:
        read_yaml(text, "f.yaml")
    return str(raised.value)


def test_every_part_knows_its_line() -> None:
    marked = read_yaml("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n", "f")
    assert marked.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    places = [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1, "y")]
    assert [marked.line(place) for place in places] == [1, 2, 4, 5]
    assert marked.line(("a", "c", 1, "missing", 3)) == 5, "else the line of what is around it"


def test_an_empty_file_says_nothing() -> None:
    assert read_yaml("# nothing\n", "f").data == {}


def test_what_yaml_would_take_silently() -> None:
    assert fault("a: 1\nb: 2\na: 3") == "f.yaml:3: 'a' stands here twice: keep one of them"
    assert "f.yaml:2: aliases" in fault("a: &x [1]\nb: *x")
    assert fault("ok: 1\n1: 2") == "f.yaml:2: a key must be text: write '1' in quotes"
    assert "quotes" in fault("no: 1")


def test_what_is_no_yaml() -> None:
    assert fault("a: [1").startswith("f.yaml:1: this is not YAML")
    assert fault("a: 1\n b: 2").startswith("f.yaml:2: this is not YAML")
    assert "not YAML" in fault("a: \0")
    assert "not YAML" in fault("a: 1\n---\nb: 2")
    assert "not YAML" in fault("a: !!python/object:os.system x")


def test_too_much_of_it() -> None:
    assert str(LARGEST) in fault("a" * (LARGEST + 1))
    assert "too deep" in fault("[" * 40 + "]" * 40)
    assert "too deep" in fault("[" * 5_000 + "]" * 5_000)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(RoutingFileError):
        read_yaml(text, "f")
