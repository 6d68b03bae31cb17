"""Reading memory's log, where somebody has put what nobody can read; the rest is shown on a real broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from aiosv3.app.recollection import MemoryReading
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Record


async def test_garbage_is_no_event_whatever_schema_it_names() -> None:
    """Five bytes and nothing behind them may look like the id of a schema that nobody has registered."""
    store = SchemaStore()
    reading = MemoryReading.__new__(MemoryReading)
    reading.mesh = cast("Any", SimpleNamespace(codec=Codec(store), store=store))
    for value in (b"\x93 no event", b"\x00\x00\x00\x00\x01\xff\xff", b"\x00\x3b\x9a\xca\x00\x02", b"", None):
        record = Record("memory.events", 0, 7, 0, None, value, [])
        assert await reading.event(record) is None
