"""One client of a group: its consumer, its commits, its ears, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from confluent_kafka import Consumer, KafkaException, TopicPartition

from aiosv3.streams.kafka.commits import Commits
from aiosv3.streams.kafka.connection import ClientWatch

_LAST_S: Final = 5.0
_POLL_S: Final = 0.05
_ASK_S: Final = 5.0
_ANSWER_S: Final = 1.0

Told: TypeAlias = Callable[[Sequence[TopicPartition]], None]


class Rebalances(Protocol):
    """Who is told, inside a call of the consumer, what the group gives and takes."""

    def on_assign(self, partitions: Sequence[TopicPartition]) -> None: ...

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None: ...


class GroupClient:
    """For the thread of the member, until it is closed or let go."""

    def __init__(self, consumer: Consumer, commits: Commits, watch: ClientWatch, topic: str) -> None:
        commits.use(consumer)
        self.consumer = consumer
        self.commits = commits
        self.watch = watch
        self._topic = topic
        self._gone = False
        self._ask_at = 0.0

    def subscribe(self, member: Rebalances) -> None:
        """Begins to join; ``member`` is told until this client is let go."""
        on = self._while_here
        self.consumer.subscribe(
            [self._topic],
            on_assign=on(member.on_assign),
            on_revoke=on(member.on_revoke),
            on_lost=on(member.on_lost),
        )

    def answered(self) -> bool:
        """Whether a broker has just answered this client; asks for it every five seconds, and waits for one."""
        if time.monotonic() < self._ask_at:
            return False
        try:
            self.consumer.list_topics(self._topic, timeout=_ANSWER_S)
        except KafkaException:
            return False
        finally:
            self._ask_at = time.monotonic() + _ASK_S
        return True

    def hear_last(self) -> None:
        """Waits until all commits are answered, five seconds at most. What comes beside that is thrown away."""
        by = time.monotonic() + _LAST_S
        while self.commits.under_way() and time.monotonic() < by:
            self.consumer.poll(_POLL_S)

    def close(self) -> None:
        """Leaves the group, which revokes what there is."""
        if self.commits.under_way():  # nobody answers: librdkafka would wait for that before it closes
            self.let_go()
        else:
            self.consumer.close()

    def let_go(self) -> None:
        """Out of the group for good, should it come back to life. On a thread of its own: it may take for ever."""
        self._gone = True
        self.commits.give_up()
        threading.Thread(target=self._end, name="aiosv3-kafka-let-go", daemon=True).start()

    def _while_here(self, told: Told) -> Callable[[Consumer, Sequence[TopicPartition]], None]:
        def call(_: Consumer, partitions: Sequence[TopicPartition]) -> None:
            if not self._gone:  # else it does what it has to by itself
                told(partitions)

        return call

    def _end(self) -> None:
        with suppress(KafkaException, RuntimeError):
            self.consumer.unsubscribe()
            self.consumer.close()
