"""Records that could not be processed: original bytes untouched, with the headers that Spring for Apache Kafka writes,
so that its tools (and every Kafka UI) read them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import AppendFailed, RecordTooLarge
from aiosv3.streams.log import Appended, Outgoing, Record

if TYPE_CHECKING:
    from aiosv3.streams.tenure import Wiring

_LOG: Final = logging.getLogger(__name__)
_RETRY_S: Final = 0.5
PREFIX: Final = "kafka_dlt-"
"""Of the headers that a dead letter has beside those of its original."""
_MESSAGE_LIMIT: Final = 2_000


def dead_letter(topic: str, record: Record, error: Exception, processor: str) -> Outgoing:
    """The dead letter of ``record``. Numbers in headers are text, as everywhere on this wire."""
    details = {
        "original-topic": record.topic,
        "original-partition": str(record.partition),
        "original-offset": str(record.offset),
        "original-timestamp": str(record.timestamp),
        "original-consumer-group": processor,
        "exception-fqcn": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception-message": str(error)[:_MESSAGE_LIMIT],
    }
    added = [(PREFIX + name, text.encode("utf-8", "replace")) for name, text in details.items()]
    return Outgoing(topic, None, record.key, record.value, [*record.headers, *added])


def too_large_letter(topic: str, record: Record, error: AiosError, processor: str) -> Outgoing:
    """A dead letter without the value: the original is over the limit of this topic too, and stays where it was."""
    letter = dead_letter(topic, record, error, processor)
    return letter._replace(value=None)


class Graveyard:
    """Appends dead letters for one tenure and goes on when they are durable; nothing is dropped meanwhile."""

    def __init__(self, wiring: Wiring, topic: str) -> None:
        self._wiring = wiring
        self._topic = topic
        self._closed = False

    def close(self) -> None:
        """The tenure has ended: nothing is sent again."""
        self._closed = True

    def bury(self, record: Record, error: AiosError, then: Callable[[], None]) -> None:
        """Writes the dead letter of ``record``; ``then`` is called when it is acknowledged."""
        wiring = self._wiring
        wiring.metrics.dead_letters.inc()
        _LOG.warning("%s: %s[%s]@%s is a dead letter: %s", wiring.name, *record[:3], error)
        letters = [too_large_letter(self._topic, record, error, wiring.name)]

        def send(letter: Outgoing) -> None:
            if not self._closed:
                wiring.log.append(letter, partial(buried, letter))

        def buried(letter: Outgoing, ack: Appended | AppendFailed) -> None:
            if isinstance(ack, Appended):
                then()
            elif isinstance(ack, RecordTooLarge) and letters:
                send(letters.pop())
            else:
                asyncio.get_running_loop().call_later(_RETRY_S, send, letter)

        send(dead_letter(self._topic, record, error, wiring.name))
