"""The commit codec: whole within 4,095 characters, and honest about what it cannot read."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiosv3.streams import commit as module
from aiosv3.streams.commit import METADATA_LIMIT, VERSION, Commit, decode_set, encode_set, fitting
from aiosv3.streams.errors import NewerCommit
from aiosv3.streams.log import Committed
from aiosv3.streams.offsets import SET_ROOM

HIGHEST = 2**63 - 1
positions = st.integers(0, HIGHEST)
bases = st.integers(0, 2**62)


@st.composite
def sets(draw: st.DrawFn, most_runs: int = 60) -> tuple[int, tuple[int, ...]]:
    """A base and finished offsets above it, as runs of any length with gaps of any length."""
    at = base = draw(bases)
    offsets: list[int] = []
    runs = st.tuples(st.one_of(st.integers(1, 40), st.integers(1, 2**40)), st.integers(1, 70))
    for gap, length in draw(st.lists(runs, max_size=most_runs)):
        offsets.extend(range(at + gap, at + gap + length))
        at += gap + length
    return base, tuple(offsets)


@settings(deadline=None)
@given(sets(), st.integers(-1, HIGHEST), positions, st.integers(-1, HIGHEST))
def test_a_commit_reads_back_as_it_was_written(
    written: tuple[int, tuple[int, ...]], epoch: int, own: int, journal: int
) -> None:
    base, completed = written
    commit = Commit(base, epoch, own, journal, completed)
    assert Commit.decode(commit.encode()) == commit
    assert commit.encode().offset == base


def test_the_layout_is_the_one_of_the_protocol() -> None:
    """``version|epoch|T|Bbase|set``: workers of other releases read it. A gap of 40 takes two digits: 8 + 32, 1."""
    commit = Commit(base=100, epoch=7, own=5, journal=3, completed=(102, 103, 144))
    assert commit.encode() == Committed(100, "1|7|5|3|CCoBB")


@settings(deadline=None)
@given(sets(), st.integers(0, 300))
def test_rule_08_what_does_not_fit_is_cut_from_the_top(written: tuple[int, tuple[int, ...]], room: int) -> None:
    base, offsets = written
    kept = fitting(base, offsets, room)
    assert kept == offsets[: len(kept)]
    assert len(encode_set(base, kept)) <= room
    if len(kept) < len(offsets):
        run = len(kept) + 1
        while run < len(offsets) and offsets[run] == offsets[run - 1] + 1:
            run += 1
        assert len(encode_set(base, offsets[:run])) > room, "one more run had fitted"


@settings(deadline=None)
@given(sets(), st.integers(1, 900))
@example((2**62, ()), 3_000)
def test_rule_08_metadata_is_never_over_the_limit_of_the_broker(
    written: tuple[int, tuple[int, ...]], more: int
) -> None:
    base, offsets = written
    top = offsets[-1] if offsets else base
    crowd = (*offsets, *range(top + 2, top + 2 + 100 * more, 100))
    commit = Commit(base, HIGHEST, HIGHEST, HIGHEST, fitting(base, crowd, SET_ROOM))
    assert len(commit.encode().metadata) <= METADATA_LIMIT
    assert METADATA_LIMIT == 4095


def test_a_thousand_single_holes_fit() -> None:
    offsets = tuple(range(1, 2001, 2))
    assert fitting(0, offsets, SET_ROOM) == offsets
    assert len(encode_set(0, offsets)) == 2000


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "reset by hand",
        "|||",
        "1",
        "1|2|3",
        "1|2|3|4",
        "1|2|3|4|B",  # half a pair
        "1|2|3|4|Bg",  # cut in the middle of a number
        "1|2|3|4|B!",
        "1|2|3|4|B|C",
        "1|x|3|4|",
        "1|||4|",
        "-1|2|3|4|",
        "v1|2|3|4|",
    ],
)
def test_foreign_metadata_is_no_commit_of_ours(metadata: str) -> None:
    assert Commit.decode(Committed(5, metadata)) is None


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Nd", "Cs"]), max_size=80))
def test_any_text_that_does_not_begin_with_a_version_is_foreign(metadata: str) -> None:
    assert Commit.decode(Committed(5, metadata)) is None


@settings(deadline=None)
@given(st.integers(VERSION + 1, 10**9), st.text(max_size=20))
def test_a_newer_commit_is_refused_in_words(version: int, rest: str) -> None:
    with pytest.raises(NewerCommit, match=rf"layout {version}, this worker knows up to {VERSION}"):
        Commit.decode(Committed(5, f"{version}|{rest}"))
    with pytest.raises(NewerCommit):
        Commit.decode(Committed(5, str(version)))


def test_the_next_version_still_reads_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Release N reads what N-1 committed, else an update would restore everything from the start."""
    commit = Commit(base=10, epoch=3, own=2, journal=1, completed=(12, 13))
    old = commit.encode()
    monkeypatch.setattr(module, "VERSION", VERSION + 1)
    assert commit.encode().metadata.startswith(f"{VERSION + 1}|")
    assert Commit.decode(old) == commit


@pytest.mark.parametrize("text", ["B", "g", "Bg", "BBg"])
def test_a_set_that_was_cut_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="cut in the middle"):
        list(decode_set(0, text))
