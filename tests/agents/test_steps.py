"""Request hashes and reply tokens: stable, and different where the request is."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents.steps import reply_token, request_hash

PARTS = st.lists(st.text(max_size=4), max_size=4)


@given(PARTS, PARTS)
def test_hashes_differ_where_parts_do(one: list[str], two: list[str]) -> None:
    """Also for parts that only join to the same text: `a`, `bc` and `ab`, `c`."""
    assert (request_hash(*one) == request_hash(*two)) == (one == two)


def test_a_hash_is_known_for_good() -> None:
    """It stands in journals: another value would make every open task a divergence."""
    assert request_hash("model", "USER", "hello") == "b7a1acda2c184633"
    assert request_hash(b"model", "USER", b"hello") == request_hash("model", "USER", "hello")


@given(st.binary(max_size=8), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_a_token_depends_on_everything(secret: bytes, task: str, step: str, hashed: str) -> None:
    token = reply_token(secret, task, step, hashed)
    assert re.fullmatch("[0-9a-f]{16}", token)
    assert token == reply_token(secret, task, step, hashed)
    others = [
        reply_token(secret + b"x", task, step, hashed),
        reply_token(secret, task + "x", step, hashed),
        reply_token(secret, task, step + "x", hashed),
        reply_token(secret, task, step, hashed + "x"),
    ]
    assert token not in others


def test_a_token_is_known_for_good() -> None:
    assert reply_token(b"secret", "t", "1", "cafe") == "0061fea6a2290ee3"
