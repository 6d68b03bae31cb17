"""What workers asked the outside for, by the headers of their requests."""

from __future__ import annotations

from aiosv3.schemas.headers import CE_ID, REPLY, ROUTE, Reply, Route
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Record


class Requests:
    """``hashes``: request id -> hashes of what was asked under it, without order."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._answered: dict[tuple[str, str], int] = {}
        self.hashes: dict[str, set[str]] = {}

    def journaled(self, record: Record) -> None:
        """A journal record: from here on an owner that comes later must know this answer."""
        self._answered.setdefault((record.topic, _id(record)), record.offset)

    def take(self, record: Record) -> str | None:
        """A request; says in words what is wrong with it (protocol rule 16), if anything is."""
        raw = record.header(ROUTE)
        if raw is None:
            return None
        route, request = Route.decode(raw), _id(record)
        self.hashes.setdefault(request, set()).add(route.hash)
        reply = record.header(REPLY)
        journal = Reply.decode(reply).topic if reply is not None else self._topics.journal(route.agent or "")
        answered = self._answered.get((journal, request))
        if answered is None or answered >= route.epoch:
            return None
        return (
            f"request {request} was made again on {record.topic}, although its answer lies at {journal}@{answered}, "
            f"below the marker of the worker that asked (@{route.epoch})"
        )


def _id(record: Record) -> str:
    return (record.header(CE_ID) or b"").decode("utf-8", "replace")
