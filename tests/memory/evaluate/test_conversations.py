"""Documents as given, and which are turns of one conversation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiosv3.memory.evaluate.conversations import Document, Placing, milliseconds

EIGHTH = int(datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "told",
    [
        "2023-05-08T13:56",
        "2023-05-08T13:56:00Z",
        "2023-05-08 15:56:00+02:00",
        "1:56 pm on 8 May, 2023",
        EIGHTH,
        EIGHTH // 1000,
        float(EIGHTH // 1000),
        str(EIGHTH // 1000),
        datetime(2023, 5, 8, 13, 56),  # noqa: DTZ001 -- as they come
    ],
)
def test_times_as_people_write_them(told: object) -> None:
    assert milliseconds(told) == EIGHTH


@pytest.mark.parametrize("told", ["May 8, 2023", "8 May 2023", "May-08-2023", "2023/05/08", "2023-05-08"])
def test_days(told: str) -> None:
    assert milliseconds(told) == int(datetime(2023, 5, 8, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("told", [None, "", " ", "yesterday", 0, True, [], {}])
def test_no_time(told: object) -> None:
    assert milliseconds(told) is None


def test_a_document_needs_no_more_than_id_and_text() -> None:
    assert Document.read({"id": 7, "text": "x"}) == Document("7", "x", "")
    assert Document.read({"id": "a", "text": "x", "speaker": None, "timestamp": None, "scope": None}).speaker == ""


def turn(id_: str, time: int | None = 1, scope: str = "s", speaker: str = "Ada") -> Document:
    return Document(id_, "x", scope, speaker, time)


def test_turns_follow_each_other_until_a_pause() -> None:
    placing, hour = Placing(), 3_600_000
    placed = [placing.place(turn(str(number), time)) for number, time in enumerate([0, hour, None, 3 * hour, 3 * hour])]
    assert [(each.source, each.position) for each in placed] == [
        ("s#1", 0),
        ("s#1", 1),
        ("s#1", 2),
        ("s#2", 0),
        ("s#2", 1),
    ]


def test_scopes_are_apart_and_texts_of_their_own_have_no_neighbours() -> None:
    placing = Placing()
    assert placing.place(turn("a")).source == "s#1"
    assert placing.place(turn("a", scope="t")).source == "t#1"
    assert placing.place(turn("b", speaker="")).source == ""
    assert placing.place(turn("c")).position == 1


def test_the_same_id_again_is_a_newer_version() -> None:
    placing = Placing()
    assert [placing.place(turn("a", scope=scope)).version for scope in ("s", "s", "t")] == [1, 2, 1]
