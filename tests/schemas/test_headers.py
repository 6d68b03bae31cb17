from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.schemas import headers
from aiosv3.schemas.errors import MalformedHeader, WireError
from aiosv3.schemas.headers import AUTO, Clearance, Grant, Reply, Route

LONG = 2**63 - 1
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
amounts = st.none() | st.integers(0, LONG)
grants = st.builds(
    Grant, names, names, st.sampled_from(Clearance), amounts, amounts, st.integers(0, 2**31 - 1), st.none() | names
)
routes = st.builds(
    Route,
    agent=st.none() | names,
    complexity=st.just(AUTO) | st.floats(0, 1),
    tokens=st.integers(0, LONG),
    max_tokens=st.integers(0, 2**31 - 1),
    priority=st.integers(-100, 100),
    attempt=st.integers(1, 9),
    needs=st.lists(names, max_size=3).map(tuple),
    tried=st.lists(names, max_size=3).map(tuple),
    usd_micros=amounts,
    stream=st.none() | st.integers(0, 2**31 - 1),
    found=st.lists(st.text(max_size=8), max_size=3).map(tuple),
)
replies = st.builds(Reply, names, st.integers(0, 2**31 - 1), st.integers(0, LONG), names, names, names)

GRANT = {"v": 1, "tenant": "acme", "root": "r", "class": "internal", "usd_micros": 5, "exp": None, "depth": 0}
ROUTE = {
    "v": 1,
    "agent": "triage",
    "complexity": 0.5,
    "tokens": 10,
    "max_tokens": 20,
    "priority": 0,
    "attempt": 1,
    "epoch": 7,
    "first_sent": 1,
    "hash": "h",
    "needs": ["json"],
    "tried": [],
}
REPLY = {"v": 1, "topic": "t", "partition": 0, "offset": 0, "task": "t", "step": "s", "token": ""}


@given(grants)
def test_a_grant_survives_the_wire(grant: Grant) -> None:
    assert Grant.decode(grant.encode()) == grant


@given(routes)
def test_a_route_survives_the_wire(route: Route) -> None:
    assert Route.decode(route.encode()) == route


@given(replies)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    assert Reply.decode(reply.encode()) == reply


def test_the_text_is_compact_and_in_the_order_of_the_specification() -> None:
    grant = Grant("müller", "r-1", Clearance.CONFIDENTIAL, 50_000, None, 2)
    assert (
        grant.encode()
        == (
            '{"v":1,"tenant":"müller","root":"r-1","class":"confidential","usd_micros":50000,"exp":null,"depth":2,"sig":null,"by":null}'
        ).encode()
    )
    assert list(json.loads(Reply("t", 1, 2, "a", "b", "c").encode())) == ["v", *(f.name for f in fields(Reply))]
    full = Route(None, AUTO, 1, 1, stream=0, found=("card",), overflow=1)
    assert list(json.loads(full.encode())) == ["v", *(f.name for f in fields(Route))]


def test_what_nobody_asked_for_is_not_on_the_wire() -> None:
    asked = Grant(
        "t", "r", Clearance.PUBLIC, cap=1, regions=("eu",), terms=("x",), workflow="w", type="t", label="l", subject="s"
    )
    names = [field.name for field in fields(Grant)]
    assert list(json.loads(asked.encode())) == ["v", *("class" if name == "clearance" else name for name in names)]
    assert Grant.decode(asked.encode()) == asked


def test_unknown_keys_are_ignored() -> None:
    assert Grant.decode(json.dumps({**GRANT, "colour": "red"}).encode()).tenant == "acme"


def test_a_nullable_key_that_is_absent_is_null() -> None:
    assert Route.decode(json.dumps(ROUTE).encode()).pool is None


@pytest.mark.parametrize(
    ("base", "field", "value"),
    [
        (GRANT, "v", 0),
        (GRANT, "v", 2),
        (GRANT, "v", "1"),
        (GRANT, "v", True),
        (GRANT, "tenant", ""),
        (GRANT, "tenant", None),
        (GRANT, "root", 3),
        (GRANT, "class", "secret"),
        (GRANT, "class", "PUBLIC"),
        (GRANT, "class", 1),
        (GRANT, "class", ["public"]),
        (GRANT, "usd_micros", -1),
        (GRANT, "usd_micros", 1.5),
        (GRANT, "usd_micros", True),
        (GRANT, "usd_micros", 2**63),
        (GRANT, "exp", "tomorrow"),
        (GRANT, "depth", -1),
        (GRANT, "depth", None),
        (GRANT, "sig", 1),
        (ROUTE, "agent", 1),
        (ROUTE, "complexity", float("nan")),
        (ROUTE, "complexity", float("inf")),
        (ROUTE, "complexity", 1.1),
        (ROUTE, "complexity", -0.1),
        (ROUTE, "complexity", "hard"),
        (ROUTE, "complexity", True),
        (ROUTE, "complexity", None),
        (ROUTE, "tokens", -1),
        (ROUTE, "max_tokens", 2**31),
        (ROUTE, "latency_ms", -1),
        (ROUTE, "priority", 0.5),
        (ROUTE, "attempt", 0),
        (ROUTE, "first_sent", None),
        (ROUTE, "hash", None),
        (ROUTE, "needs", "json"),
        (ROUTE, "needs", [1]),
        (ROUTE, "tried", None),
        (ROUTE, "usd_micros", -5),
        (ROUTE, "stream", -1),
        (ROUTE, "stream", 2**31),
        (ROUTE, "stream", "0"),
        (ROUTE, "found", "card"),
        (ROUTE, "overflow", -1),
        (GRANT, "regions", "eu"),
        (GRANT, "terms", [1]),
        (GRANT, "workflow", 1),
        (REPLY, "topic", ""),
        (REPLY, "partition", -1),
        (REPLY, "partition", 2**31),
        (REPLY, "offset", -1),
        (REPLY, "task", None),
        (REPLY, "token", None),
    ],
)
def test_a_bad_field_is_named_with_its_header_and_value(base: dict[str, Any], field: str, value: object) -> None:
    kinds: list[tuple[dict[str, Any], type[Grant | Route | Reply], str]] = [
        (GRANT, Grant, "aios-grant"),
        (ROUTE, Route, "aios-route"),
        (REPLY, Reply, "aios-reply"),
    ]
    cls, header = next((cls, header) for known, cls, header in kinds if known is base)
    with pytest.raises(MalformedHeader) as caught:
        cls.decode(json.dumps({**base, field: value}).encode())
    assert str(caught.value).startswith(f"{header}: {field} ")
    assert repr(value)[:20] in str(caught.value)


@pytest.mark.parametrize("field", ["v", "tenant", "root", "class", "depth"])
def test_an_absent_field_is_said_to_be_absent(field: str) -> None:
    with pytest.raises(MalformedHeader, match=f"aios-grant: {field} .* absent"):
        Grant.decode(json.dumps({name: value for name, value in GRANT.items() if name != field}).encode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"v":1,"tenant":"\\ud800","root":"r","class":"public","depth":0}',
        b'{"v":1,"tenant":"\xed\xa0\x80","root":"r","class":"public","depth":0}',
        b'{"v":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedHeader, match="aios-grant"):
        Grant.decode(value)


@given(st.binary(max_size=200))
def test_random_bytes_only_give_wire_errors(value: bytes) -> None:
    for cls in (Grant, Route, Reply):
        with pytest.raises(WireError):
            cls.decode(value)


def test_classes_are_ordered_and_speak() -> None:
    assert list(Clearance) == sorted(Clearance)
    assert max(Clearance.PUBLIC, Clearance.RESTRICTED) is Clearance.RESTRICTED
    assert [member.label for member in Clearance] == ["public", "internal", "confidential", "restricted"]
    assert all(Clearance.parse(member.label) is member for member in Clearance)
    with pytest.raises(ValueError, match="public, internal, confidential, restricted"):
        Clearance.parse("secret")


def test_nine_headers_inside_the_mesh() -> None:
    assert (
        *("ce_id", "ce_source", "ce_type", "ce_specversion", "content-type", "traceparent"),
        *("aios-grant", "aios-route", "aios-reply"),
    ) == headers.MESH_HEADERS
    assert set(headers.TASK_HEADERS) & {headers.GRANT, headers.ROUTE, headers.REPLY} == set()


def test_a_route_that_nobody_follows_is_not_a_byte_longer() -> None:
    """Nobody pays for deltas who does not ask for them."""
    assert "stream" not in json.loads(Route("a", AUTO, 1, 1).encode())
    assert Route.decode(json.dumps(ROUTE).encode()).stream is None
    assert "found" not in json.loads(Route("a", AUTO, 1, 1).encode())
    assert Route.decode(json.dumps(ROUTE).encode()).found == ()
