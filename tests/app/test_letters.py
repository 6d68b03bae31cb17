"""Which dead letters are meant, without a broker; the rest is in tests/app/commands/test_dlq.py, on one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aiosv3.app.letters import Wanted, agent_of, as_binary, chosen, fitting, is_task, moment_of
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import CE_ID
from aiosv3.schemas.topics import Topics
from aiosv3.streams.deadletters import dead_letter
from aiosv3.streams.log import Record
from aiosv3.streams.redrive import Letter, Letters, read_letter, redriven

TOPICS = Topics("aios.")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def letters() -> Letters:
    """Four letters, a minute apart, the last one a copy of the one before."""
    found = Letters()
    origins = [("tasks.desk", "a", 1), ("journal.desk", "b", 2), ("prompts.small", "a", 3), ("prompts.small", "a", 3)]
    for offset, (topic, record_id, at) in enumerate(origins):
        original = Record(f"aios.{topic}", 0, at, 0, None, b"x", [(CE_ID, record_id.encode())])
        letter = dead_letter("aios.dead-letters", original, MalformedValue("x"), "p")
        found.take(Record("aios.dead-letters", 0, offset, offset * 60_000, *letter[2:]))
    return found


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Wanted(), [0, 1, 2, 3]),
        (Wanted(topic="tasks.desk"), [0]),
        (Wanted(topic="aios.tasks.desk"), [0]),
        (Wanted(agent="desk"), [0, 1]),
        (Wanted(agent="small"), []),
        (Wanted(since=60_000), [1, 2, 3]),
        (Wanted(agent="desk", since=60_000), [1]),
    ],
)
def test_filters(letters: Letters, wanted: Wanted, offsets: list[int]) -> None:
    assert [letter.place.offset for letter in fitting(letters, wanted, TOPICS)] == offsets


def test_whose_it_was(letters: Letters) -> None:
    task, journal, prompt, _ = fitting(letters, Wanted(), TOPICS)
    assert [agent_of(letter, TOPICS) for letter in (task, journal, prompt)] == ["desk", "desk", None]
    assert [is_task(letter, TOPICS) for letter in (task, journal, prompt)] == [True, False, False]


def test_letters_are_named_by_place_or_id(letters: Letters) -> None:
    assert [letter.place.offset for letter in chosen(letters, ["0@0", "b", "0@1", "0@2", "0@3"])] == [0, 1, 3]
    with pytest.raises(SettingsError, match="there is no dead letter '0@9'"):
        chosen(letters, ["0@9"])
    with pytest.raises(SettingsError, match="there is no dead letter 'nope'"):
        chosen(letters, ["nope"])
    with pytest.raises(SettingsError, match="'a' names 2 dead letters: choose one of 0@0, 0@3"):
        chosen(letters, ["a"])


def test_a_structured_event_is_named_by_its_value() -> None:
    body = b'{"specversion": "1.0", "id": "inside", "source": "s", "type": "t", "tenant": "acme", "data": {"a": 1}}'
    headers = [(CE_ID, b"outside"), ("content-type", b"application/cloudevents+json"), ("own", b"x")]
    original = Record("aios.tasks.desk", 0, 1, 0, None, body, headers)
    letter = read_letter(Record("d", 0, 0, 0, *dead_letter("d", original, MalformedValue("x"), "p")[2:]))
    assert isinstance(letter, Letter)
    event = as_binary(letter, letter.value)
    assert (event.id, event.value) == ("inside", b'{"a": 1}')
    sent = dict(redriven(event, 1, event.value).headers)
    assert (sent[CE_ID], sent["ce_tenant"], sent["own"]) == (b"inside.redrive-1", b"acme", b"x")
    assert sent["content-type"] == b"application/json"
    broken = as_binary(letter, b"no event")
    assert (broken.id, broken.value, broken.headers) == ("outside", b"no event", headers)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("2h", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("1d12h", datetime(2026, 1, 30, 0, tzinfo=UTC)),
        ("1w", datetime(2026, 1, 24, 12, tzinfo=UTC)),
        ("90s", datetime(2026, 1, 31, 11, 58, 30, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_since_is_a_length_or_a_time(text: str, then: Any) -> None:
    assert moment_of(text, NOW) == then.timestamp() * 1000


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2y"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(SettingsError, match="is no time: write 30m"):
        moment_of(text, NOW)
