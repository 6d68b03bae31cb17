"""Whether a client that has no answers can still get one.

librdkafka can be left without a broker to talk to, for good. An answer about the cluster that names no broker (a broker
gives it that has just started, or that its controller has fenced after it stood still) makes it drop all that it knew,
and while anything still holds on to one of those it does not go back to its bootstrap addresses (its bug 5301; seen
with 2.12 to 2.16). Nothing that the client is asked for brings it back, so another client has to take its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException

from aiosv3.streams.kafka.admin import admin_client
from aiosv3.streams.kafka.connection import ClientWatch, Connection

PATIENCE_S: Final = 10.0
"""Without an answer for so long, a client is doubted; of a long session it is two thirds."""
GRACE_S: Final = 5.0
"""For so long after another one was answered it may still come back by itself."""
_EVERY_S: Final = 2.0
_ANSWER_S: Final = 1.0
_NEVER: Final = float("-inf")


class Doubt:
    """``reaches`` asks as a client that is new: see :func:`reaches`.

    Of ``session`` seconds a member that is idle is silent for a third, by itself.
    """

    def __init__(
        self, reaches: Callable[[], bool], session: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reaches = reaches
        self._patience = max(PATIENCE_S, session * 2 / 3)
        self._clock = clock
        self._heard = clock()
        self._asked = _NEVER
        self._reached: float | None = None

    def heard(self) -> None:
        """The client had an answer."""
        self._heard = self._clock()
        self._reached = None

    def hopeless(self) -> bool:
        """Whether others are answered, and this client is not. Blocks for as long as ``reaches`` does, if in doubt."""
        if self._clock() < self._heard + self._patience:
            return False
        if self._clock() >= self._asked + _EVERY_S:
            answered, self._asked = self._reaches(), self._clock()
            self._reached = None if not answered else self._asked if self._reached is None else self._reached
        return self._reached is not None and self._clock() >= self._reached + GRACE_S


def reaches(connection: Connection, topic: str, watch: ClientWatch) -> bool:
    """Whether a client that knows nothing yet hears of a broker within a second."""
    try:
        return bool(admin_client(connection, watch).list_topics(topic, timeout=_ANSWER_S).brokers)
    except KafkaException:
        return False
