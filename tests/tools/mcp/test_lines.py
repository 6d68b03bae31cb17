from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.tools.mcp.lines import Line, LineCutter


@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")), max_size=8), st.integers(1, 7))
def test_however_the_bytes_arrive_the_lines_are_the_same(lines: list[bytes], size: int) -> None:
    raw = b"".join(line + b"\n" for line in lines)
    cutter, found = LineCutter(1_000), list[Line]()
    for start in range(0, len(raw), size):
        found += cutter.feed(raw[start : start + size])
    assert found == [Line(line) for line in lines if line.strip()]


def test_a_long_line_is_cut_as_soon_as_it_is_too_long_and_its_rest_is_dropped() -> None:
    cutter = LineCutter(1_000)
    assert cutter.feed(b'{"jsonrpc":"2.0","id":7,"result":"' + b"x" * 900) == []
    (cut,) = cutter.feed(b"x" * 100)
    assert (cut.cut, cut.answers, len(cut.raw)) == (True, 7, 512)
    assert cutter.feed(b"x" * 5_000) == []
    assert cutter.dropped == 6_034
    assert cutter.feed(b'"}\nnext\n') == [Line(b"next")]
    assert cutter.dropped == 0


def test_who_is_answered_is_read_at_the_beginning_only() -> None:
    assert Line(b' {"id": 12, "jsonrpc"').answers == 12
    assert Line(b'{ "jsonrpc" : "2.0" , "id":3}').answers == 3
    for other in (b'{"result":{"id":3}}', b'{"jsonrpc":"2.0","id":"3"}', b'{"jsonrpc":"2.0","id":-1}', b"", b"id: 3"):
        assert Line(other).answers is None
