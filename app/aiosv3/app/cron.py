"""The times of a cron expression in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


class Times(NamedTuple):
    """``latest``: the last time that is due; ``following``: the one after it, None where there is none in 50 years."""

    latest: datetime
    following: datetime | None


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"this machine knows no time zone {name!r}: write one such as Europe/Berlin "
            "(if it knows none at all: pip install tzdata)"
        ) from None


def next_time(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first time after ``after``, in UTC; None where there is none in 50 years.

    Five fields as in Debian's cron (a sixth in front: seconds), local time in ``timezone``: a time that a change of
    clocks leaves out comes right after it, one that it has twice comes once. Raises ValueError.
    """
    try:
        found = next(CronSim(cron, after.astimezone(zone_of(timezone))), None)
    except CronSimError as error:
        raise ValueError(
            f"{cron!r} is no cron expression ({error}): write minute hour day month weekday, such as '0 7 * * 1-5'"
        ) from None
    return None if found is None else found.astimezone(UTC)


def times(cron: str, timezone: str, due: datetime, now: datetime) -> Times:
    """What is to be done at ``now`` about a time ``due``: of those that were missed meanwhile, the latest counts.

    ``now`` may be a little before ``due``: broker and worker have clocks of their own.
    """
    latest = due
    while (following := next_time(cron, timezone, latest)) is not None and following <= now:
        latest = following
    return Times(latest, following)
