"""Commits of a group member, whose answers are waited for, but not for ever."""

from __future__ import annotations

import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import error_of, explain
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.log import Committed

_LOG = logging.getLogger("aiosv3.streams.kafka")
_PAUSE: Final = 0.05
ANSWER_S: Final = 15.0
"""A request of librdkafka ends after ``socket.timeout.ms``, ten seconds here: what takes longer has got lost."""


class Commits:
    """One at a time, for the thread of the member.

    librdkafka's own wait has no end, and there may be no answer: it loses a commit that is under way when the broker is
    killed. Whoever waited for that would never poll again. So another thread waits; one that is left behind stays.
    """

    def __init__(self, consumer: Consumer, topic: str, lease: Lease) -> None:
        self._consumer = consumer
        self._topic = topic
        self._lease = lease
        self.lost = 0
        """How many never got an answer: as many threads are still in a call of the consumer."""

    def send(self, partition: int, committed: Committed, tries: int = 1, *, inside: bool) -> bool:
        """True if the broker takes it. ``inside`` a call of the consumer nobody else gets into it: no end then."""
        sent = self._lease.trying()
        place = TopicPartition(self._topic, partition, committed.offset, committed.metadata)
        error = self._asked(place, inside=inside)
        if error is None:
            self._lease.proven(sent)
            return True
        if tries > 1 and error.code() in codes.PASSING:
            time.sleep(_PAUSE)
            return self.send(partition, committed, tries - 1, inside=inside)
        level = logging.INFO if error.code() in codes.NOT_OWNER else logging.WARNING
        _LOG.log(level, "%s[%d]: commit refused: %s", self._topic, partition, explain(error))
        return False

    def _asked(self, place: TopicPartition, *, inside: bool) -> KafkaError | None:
        answer: SimpleQueue[KafkaError | None] = SimpleQueue()
        if inside:
            self._ask(place, answer)
            return answer.get()
        threading.Thread(target=self._ask, args=(place, answer), name="aiosv3-kafka-commit", daemon=True).start()
        try:
            return answer.get(timeout=ANSWER_S)
        except Empty:
            self.lost += 1
            return KafkaError(codes.TIMED_OUT, f"no answer to a commit within {ANSWER_S:g} s")

    def _ask(self, place: TopicPartition, answer: SimpleQueue[KafkaError | None]) -> None:
        try:
            answer.put(self._consumer.commit(offsets=[place], asynchronous=False)[0].error)
        except KafkaException as failure:
            answer.put(error_of(failure))
