"""Chunks: bounded, whole, and under their headings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.memory.documents import Section, chunks
from aiosv3.schemas.memory import heading_in

TEXTS = st.text(alphabet="ab .!\n", max_size=400)


def test_a_section_that_fits_is_one_chunk_with_its_headings() -> None:
    (one,) = chunks([Section(("Guide", "Install"), "Run it.\n\nThen wait.")])
    assert one == "# Guide > Install\n\nRun it.\n\nThen wait."
    assert heading_in(one) == "Guide > Install"
    assert chunks([Section((), "plain")]) == ["plain"]
    assert heading_in("plain") == heading_in("# no text follows") == ""


def test_a_long_section_is_cut_where_it_reads_best() -> None:
    paragraphs = ["one " * 10, "two " * 10, "three " * 10]
    found = chunks([Section(("T",), "\n\n".join(paragraphs))], 120)
    assert [one.removeprefix("# T\n\n") for one in found] == [
        f"{paragraphs[0].strip()} \n\n{paragraphs[1].strip()}",
        paragraphs[2].strip(),
    ]
    sentences = chunks([Section((), "First it rains. Then it snows. Then it stops.")], 32)
    assert sentences == ["First it rains. Then it snows.", "Then it stops."]
    assert chunks([Section((), "x" * 25)], 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_long_headings_leave_room_for_the_text() -> None:
    found = chunks([Section(("a" * 200, "b" * 200), "word " * 50)], 100)
    assert all(len(one) <= 100 for one in found)
    assert all(one.startswith("# bbb") for one in found)
    assert "".join(one.partition("\n\n")[2] for one in found).count("word") == 50


@given(st.lists(st.tuples(st.lists(st.text("hx", min_size=1, max_size=30), max_size=3), TEXTS), max_size=4))
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost_and_nothing_is_too_long(told: list[tuple[list[str], str]]) -> None:
    sections = [Section(tuple(headings), text) for headings, text in told]
    found = chunks(sections, 64)
    assert all(len(one) <= 64 for one in found)
    said = "".join(one.partition("\n\n")[2] if one.startswith("# ") else one for one in found)
    assert "".join(said.split()) == "".join("".join(section.text.split()) for section in sections)
