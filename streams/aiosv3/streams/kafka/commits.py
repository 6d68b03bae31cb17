"""Commits of a group member: sent, and answered in one of the next polls, or never."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import error_of, explain
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.log import Committed

_LOG = logging.getLogger("aiosv3.streams.kafka")
_TRIES: Final = 3
_PAUSE_S: Final = 0.05
_OVERDUE_S: Final = 10.0
"""As long as librdkafka lets a request to a broker wait (``socket.timeout.ms``)."""

Answered: TypeAlias = Callable[[bool], None]


class _Sent(NamedTuple):
    place: TopicPartition
    since: float
    at: float
    answered: Answered
    tries: int


class Commits:
    """One at a time for each partition, all by the thread of the member.

    None is waited for. A commit that is under way when its client loses all its brokers has no answer, ever, and
    librdkafka's own wait for one has no end: nobody else, ``poll`` least of all, gets into the consumer meanwhile.
    """

    def __init__(self, topic: str, lease: Lease) -> None:
        self._topic = topic
        self._lease = lease
        self._consumer: Consumer
        self._sent: dict[int, list[_Sent]] = {}
        self._next: dict[int, _Sent] = {}
        self._given_up: list[_Sent] = []

    def use(self, consumer: Consumer) -> None:
        """Its configuration has :meth:`on_commit`."""
        self._consumer = consumer

    def send(self, partition: int, committed: Committed, answered: Answered) -> None:
        """``answered`` hears whether the broker has taken it. Behind one that is under way only the newest waits."""
        sent = self._made(partition, committed, answered)
        if partition not in self._sent:
            self._send(sent)
        else:
            self.drop_waiting(partition)
            self._next[partition] = sent

    def send_last(self, partition: int, committed: Committed, answered: Answered) -> None:
        """Before the partition is given back, which librdkafka does when all that was sent till then is answered.

        So it goes at once. Tried again where a moment may help.
        """
        self.drop_waiting(partition)
        self._send(self._made(partition, committed, answered, _TRIES))

    def drop_waiting(self, partition: int) -> None:
        """The partition goes: what waits is not sent any more (protocol rule 6)."""
        if (late := self._next.pop(partition, None)) is not None:
            late.answered(False)

    def under_way(self) -> bool:
        """Whether any has no answer yet."""
        return bool(self._sent)

    def overdue(self) -> bool:
        """Whether one has waited for too long. Until it is answered librdkafka gives no partition back, nor joins."""
        by = time.monotonic() - _OVERDUE_S
        return any(sent.since < by for of_one in [self._given_up, *self._sent.values()] for sent in of_one)

    def give_up(self) -> None:
        """The membership is lost: an answer that comes now proves nothing for the next one."""
        under_way = [sent for of_one in self._sent.values() for sent in of_one]
        self._given_up += under_way
        self._sent.clear()
        for sent in [*under_way, *self._next.values()]:
            sent.answered(False)
        self._next.clear()

    def on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """librdkafka's callback, inside ``poll``."""
        for place in places:
            for sent in self._given_up + self._sent.get(place.partition, []):
                if (sent.place.partition, sent.place.offset) == (place.partition, place.offset):
                    self._heard(sent, error or place.error)
                    break

    def _heard(self, sent: _Sent, error: KafkaError | None) -> None:
        if sent in self._given_up:
            self._given_up.remove(sent)
        else:
            self._answer(sent, error)

    def _made(self, partition: int, committed: Committed, answered: Answered, tries: int = 1) -> _Sent:
        place = TopicPartition(self._topic, partition, committed.offset, committed.metadata)
        return _Sent(place, time.monotonic(), self._lease.trying(), answered, tries)

    def _send(self, sent: _Sent) -> None:
        self._sent.setdefault(sent.place.partition, []).append(sent)
        try:
            self._consumer.commit(offsets=[sent.place], asynchronous=True)
        except KafkaException as failure:
            self._answer(sent, error_of(failure))

    def _answer(self, sent: _Sent, error: KafkaError | None) -> None:
        partition = sent.place.partition
        under_way = self._sent[partition]
        under_way.remove(sent)
        if not under_way:
            del self._sent[partition]
        if error is not None and error.code() in codes.PASSING and sent.tries > 1:
            time.sleep(_PAUSE_S)
            self._send(sent._replace(tries=sent.tries - 1))
            return
        if error is None:
            self._lease.proven(sent.at)
        else:
            level = logging.INFO if error.code() in codes.NOT_OWNER else logging.WARNING
            _LOG.log(level, "%s[%d]: commit refused: %s", self._topic, partition, explain(error))
        sent.answered(error is None)
        if partition not in self._sent and (waiting := self._next.pop(partition, None)) is not None:
            self._send(waiting._replace(since=time.monotonic(), at=self._lease.trying()))
