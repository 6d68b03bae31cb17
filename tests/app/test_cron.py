"""Times of cron expressions in time zones, over changes of clocks, and what became of those that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aiosv3.app.cron import next_time, times, zone_of

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 7 * * 1-5", "UTC", "2026-11-27T07:00Z", "2026-11-30T07:00Z"),
        ("0 7 * * 1-5", BERLIN, "2026-11-30T05:59Z", "2026-11-30T06:00Z"),
        ("0 7 * * *", BERLIN, "2026-03-28T12:00Z", "2026-03-29T05:00Z"),
        ("30 2 * * *", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00Z", "2026-10-25T00:30Z"),
        ("30 2 * * *", BERLIN, "2026-10-25T00:30Z", "2026-10-26T01:30Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", "2028-02-29T00:00Z"),
        ("*/10 * * * * *", "UTC", "2026-01-01T00:00:01Z", "2026-01-01T00:00:10Z"),
    ],
)
def test_the_next_time(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_time(cron, zone, at(after)) == at(expected)


def test_a_time_that_never_comes() -> None:
    assert next_time("0 0 */31 * MON#5", "UTC", at("2026-01-01T00:00Z")) is None


@pytest.mark.parametrize("cron", ["", "7", "0 7 * *", "0 25 * * *", "every day", "0 7 * * 1-5 2026 1"])
def test_what_is_no_expression_is_said_with_an_example(cron: str) -> None:
    with pytest.raises(ValueError, match=r"is no cron expression .*'0 7 \* \* 1-5'"):
        next_time(cron, "UTC", at("2026-01-01T00:00Z"))


@pytest.mark.parametrize("name", ["Berlin", "", "../../etc/passwd", "Europe"])
def test_a_zone_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)


def test_of_the_missed_ones_the_latest_counts() -> None:
    due = at("2026-11-30T06:00Z")
    daily = "0 6 * * *"
    assert times(daily, "UTC", due, due) == (due, due + timedelta(days=1))
    assert times(daily, "UTC", due, due + timedelta(days=3, hours=1)) == (
        due + timedelta(days=3),
        due + timedelta(days=4),
    )


def test_a_worker_whose_clock_is_fast_fires_the_time_that_was_due() -> None:
    due = at("2026-11-30T06:00Z")
    assert times("0 6 * * *", "UTC", due, due - timedelta(seconds=2)).latest == due
