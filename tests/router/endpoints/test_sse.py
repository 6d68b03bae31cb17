"""The parser gives the same events however the bytes are split, and what the standard says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.endpoints.sse import EventParser, ServerEvent

_LINES = st.sampled_from(
    [b"", b":", b": comment", b"data", b"data:", b"data: a", b"data:  two", b"data:x:y", b"event: e", b"event",
     b"id: 1", b"retry: 5", b"unknown: z", "data: Grüße 🙂".encode(), b"data: \xff", b"\xef\xbb\xbfdata: bom"]
)  # fmt: skip
_STREAMS = st.lists(st.tuples(_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=30).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def _events(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@settings(deadline=None)
@given(stream=_STREAMS | st.binary(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_the_split_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    whole = _events(stream)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    assert _events(*(stream[a:b] for a, b in pairwise(places))) == whole
    assert _events(*(bytes([byte]) for byte in stream)) == whole


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"event: x\r\ndata: a\r\ndata: b\r\n\r\n", [("x", "a\nb")]),
        (b": comment\n\ndata: a\r\rdata\n\n", [("message", "a"), ("message", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b"event: lost\n\ndata: a\n\n", [("message", "a")]),
        (b"data: whole\n\ndata: cut", [("message", "whole")]),
        (b"data: cut\n", []),
        (b"data:  one blank is kept\n\n", [("message", " one blank is kept")]),
    ],
)
def test_events(stream: bytes, events: list[tuple[str, str]]) -> None:
    assert [(event.event, event.data) for event in _events(stream)] == events
