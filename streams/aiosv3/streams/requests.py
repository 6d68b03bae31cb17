"""Requests as routers, model workers and tool workers read them: by their headers, before anything is decoded."""

from __future__ import annotations

from typing import Any

from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import Grant, Reply, Route
from aiosv3.schemas.sealing import DataKey, SealError
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Record


class Ask:
    """The headers of a request, decoded once."""

    __slots__ = ("grant", "key", "made", "reply", "route", "traceparent", "unreadable")

    def __init__(self, record: Record) -> None:
        raw_grant, raw_route, raw_reply = (record.header(n) for n in (names.GRANT, names.ROUTE, names.REPLY))
        if raw_grant is None or raw_route is None:
            raise MalformedHeader(f"a request needs the headers {names.GRANT} and {names.ROUTE}")
        self.grant = Grant.decode(raw_grant)
        self.route = Route.decode(raw_route)
        self.reply = Reply.decode(raw_reply) if raw_reply is not None else None
        self.traceparent = record.header(names.TRACEPARENT) or b""
        self.made: tuple[bytes, Any] | None = None
        """The last value that was encoded to answer it, and the record that the value holds."""
        self.key: DataKey | None = None
        """What the content was sealed with, and the answer will be; None: it is plain, or cannot be opened."""
        self.unreadable: SealError | None = None
        """Why it cannot be opened."""

    def take_made(self, value: bytes | None) -> Any:
        """The record in ``value``, once, where it was made here just now; None: it has to be read."""
        made, self.made = self.made, None
        return made[1] if made is not None and made[0] is value else None


def read_request(record: Record) -> Request:
    """A request by its headers; its body is the :class:`Ask`. Raises WireError for poison."""
    raw_id = record.header(names.CE_ID)
    if raw_id is None:
        raise MalformedHeader(f"a request needs the header {names.CE_ID}")
    try:
        request_id = raw_id.decode()
    except UnicodeDecodeError:
        raise MalformedHeader(f"header {names.CE_ID} is not UTF-8: {raw_id[:40]!r}") from None
    ask = Ask(record)
    return Request(request_id, ask.route.first_sent or record.timestamp, record, ask)
