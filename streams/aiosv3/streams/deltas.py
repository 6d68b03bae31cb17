"""Sends what is only shown: at once or never. Nobody waits for it, and nothing fails by it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import DELTA_TYPE, Delta
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import CE_SUBJECT
from aiosv3.schemas.sealing import DELTA, DataKey, seal
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.log import Appended, Log, Outgoing
from aiosv3.streams.metrics import ProcessorMetrics

_TYPE: Final = DELTA_TYPE.encode()
_MOST_RECORDS: Final = 1_000
_MOST_BYTES: Final = 4 * 1024 * 1024


def delta_outgoing(
    codec: Codec, topic: str, partition: int, delta: Delta, key: str, source: bytes, traceparent: bytes = b""
) -> Outgoing:
    """``delta`` as an append. Raises WireError for text that UTF-8 does not carry."""
    # Each one is an event of its own: readers of CloudEvents may take two of one id for one.
    headers = event(_TYPE, f"{key}/{delta.epoch}.{delta.sequence}", source, AVRO, traceparent)
    headers.append((CE_SUBJECT, delta.root_id.encode()))
    return Outgoing(topic, partition, key.encode(), codec.encode(delta), headers)


def sealed_delta(delta: Delta, key: DataKey | None) -> Delta:
    """Its text sealed; as it is without a key, or without text."""
    if key is None or not isinstance(delta.content, str):
        return delta
    body = seal(key, DELTA, delta_place(delta), delta.content.encode("utf-8", "surrogatepass"))
    return replace(delta, content=body, content_key_id=key.id)


def delta_place(delta: Delta) -> str:
    """What the sealed text is bound to."""
    return f"{delta.task_id}/{delta.step_id}/{delta.attempt}.{delta.epoch}.{delta.sequence}"


class DeltaSender:
    """Deltas of one processor. ``partitions``: how many ``topic`` has.

    What waits for its acknowledgement is bounded; what comes on top is dropped, and so is what names a partition that
    there is not. Both are counted. A reader tells a loss by the hole in the sequence.
    """

    def __init__(self, log: Log, codec: Codec, topic: str, partitions: int, metrics: ProcessorMetrics) -> None:
        self._log = log
        self._codec = codec
        self._topic = topic
        self._partitions = partitions
        self._metrics = metrics
        self._records = 0
        self._bytes = 0

    def reaches(self, partition: int | None) -> bool:
        """Whether somebody asked for deltas, and can get them. A partition that there is not is counted."""
        if partition is None:
            return False
        if 0 <= partition < self._partitions:
            return True
        self._metrics.deltas_misaddressed.inc()
        return False

    def send(self, delta: Delta, partition: int, key: str, source: bytes, traceparent: bytes = b"") -> None:
        """Sends it, or drops it. ``key``: the request id. Never raises."""
        try:
            record = delta_outgoing(self._codec, self._topic, partition, delta, key, source, traceparent)
        except WireError:
            self._metrics.deltas_dropped.inc()
            return
        size = len(record.value or b"")
        if self._records >= _MOST_RECORDS or (self._records and self._bytes + size > _MOST_BYTES):
            self._metrics.deltas_dropped.inc()
            return
        self._records += 1
        self._bytes += size
        self._log.append(record, partial(self._sent, size))

    def _sent(self, size: int, ack: Appended | AppendFailed) -> None:
        self._records -= 1
        self._bytes -= size
        (self._metrics.deltas if isinstance(ack, Appended) else self._metrics.deltas_dropped).inc()
