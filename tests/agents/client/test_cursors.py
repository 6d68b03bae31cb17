"""Cursors go out as text and come back."""

from __future__ import annotations

import pytest

from aiosv3.agents.client.cursors import BadCursor, cursor_positions, cursor_text


def test_there_and_back() -> None:
    positions = {("j", 2): 40, ("a", 0): 17, ("d", 11): 9}
    assert cursor_text(positions) == "a0-17.d11-9.j2-40"
    assert cursor_positions(cursor_text(positions)) == positions
    assert cursor_positions("") == {}


@pytest.mark.parametrize(
    "text", ["x", "a-1", "a0", "a0-", "a0-x", "00-1", "a0-1.", "a0-\u0661", "a0--1", "a0-" + "9" * 20]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor, match="is no cursor"):
        cursor_positions(text)
