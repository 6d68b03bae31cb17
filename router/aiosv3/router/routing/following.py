"""Versions on the log: written to ``policies``, and followed by whoever decides."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.policies import POLICY_TYPE, PolicyVersion
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Log, Outgoing
from aiosv3.streams.tenure import appended

_LOG: Final = logging.getLogger(__name__)
_EVERY_S: Final = 0.5


async def publish_version(log: Log, codec: Codec, topics: Topics, version: PolicyVersion) -> None:
    """Appends a version. Raises AiosError where the log does not take it."""
    key = version.key.encode()
    headers = event(POLICY_TYPE.encode(), f"{version.key}/{version.updated}", key, AVRO, b"")
    await appended(log, Outgoing(topics.policies(), 0, key, codec.encode(version), headers))


async def follow_policies(
    log: Log, codec: Codec, topics: Topics, book: PolicyBook, position: int = 0, every: float = _EVERY_S
) -> None:
    """Keeps ``book`` up to date from ``position`` on, until cancelled. While the log is away, nothing changes."""
    while True:
        try:
            position = await read_policies(log, codec, topics, book, position)
        except AiosError as error:
            _LOG.warning("routing policies not read: %s", error)
        await asyncio.sleep(every)


async def read_policies(log: Log, codec: Codec, topics: Topics, book: PolicyBook, position: int = 0) -> int:
    """Applies what is new since ``position`` and returns where to go on. Raises AiosError where it cannot be read."""
    start, end = await log.bounds(topics.policies(), 0)
    position = max(position, start)
    if position >= end:
        return position
    before = book.current.version
    async for batch in log.read(topics.policies(), 0, position, end):
        for record in batch:
            if record.value is not None:
                _apply(codec, book, record.value)
    if book.current.version != before:
        _LOG.info("routing policy %s is in force (before: %s)", book.current.version, before)
    return end


def _apply(codec: Codec, book: PolicyBook, value: bytes) -> None:
    try:
        book.apply(codec.decode_as(PolicyVersion, value))
    except (UnusableVersion, WireError, UnresolvedSchema) as error:
        book.passed_over.append(str(error))
        _LOG.warning("a version of a policy is passed over, %s stays in force: %s", book.current.version, error)
