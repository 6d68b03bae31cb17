"""What the first run of a test made in ``ctx.run``, so that its repetitions draw the same dice."""

from __future__ import annotations

from dataclasses import replace

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import CE_ID, CE_TYPE
from aiosv3.schemas.records import JournalKind, JournalRecord
from aiosv3.streams.answers import JOURNAL_TYPE
from aiosv3.streams.log import Outgoing


class Values:
    """The function runs again in each repetition, as after a crash; the value that lands is that of the first run."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._first: dict[tuple[str, bytes], JournalRecord] = {}

    def learn(self, outgoing: Outgoing) -> Outgoing:
        """A record of the first run, as it is appended; the first value of a step counts."""
        where, record = self._read(outgoing)
        if record is not None:
            self._first.setdefault(where, record)
        return outgoing

    def repeat(self, outgoing: Outgoing) -> Outgoing:
        """A record of a repetition, with the content that the first run gave to the same request."""
        where, record = self._read(outgoing)
        first = self._first.get(where)
        if record is None or first is None or first.request_hash != record.request_hash:
            return outgoing
        again = replace(record, outcome=first.outcome, error=first.error, content=first.content)
        return outgoing._replace(value=self._codec.encode(again))

    def _read(self, outgoing: Outgoing) -> tuple[tuple[str, bytes], JournalRecord | None]:
        headers = dict(outgoing.headers)
        where = outgoing.topic, headers.get(CE_ID, b"")
        if headers.get(CE_TYPE) != JOURNAL_TYPE or outgoing.value is None:
            return where, None
        record = self._codec.decode_as(JournalRecord, outgoing.value)
        return where, record if record.kind is JournalKind.VALUE else None
