"""librdkafka's messages as records."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Message

from aiosv3.streams.log import Record


def records_of(messages: Iterable[Message]) -> list[Record]:
    """The records among ``messages``; errors (which carry no record) are left out."""
    return [
        Record(
            message.topic(),  # type: ignore[arg-type]  # None only in errors
            message.partition(),  # type: ignore[arg-type]
            message.offset(),  # type: ignore[arg-type]
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers() or [],  # type: ignore[arg-type]  # a list of (str, bytes) when read
        )
        for message in messages
        if message.error() is None
    ]
