"""The thread of a group member: it alone touches the consumer, so no commit can run beside a rebalance."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.commits import Commits
from aiosv3.streams.kafka.connection import ClientWatch, error_of, explain
from aiosv3.streams.kafka.facts import PLACEHOLDER, Facts, check_topics, fetch, out_of_range
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.kafka.messages import records_of
from aiosv3.streams.kafka.relay import Assignment, Relay
from aiosv3.streams.log import Committed, Listener, Start

_LOG = logging.getLogger("aiosv3.streams.kafka")
_BATCH: Final = 500
_IDLE: Final = 0.1
_BUSY: Final = 0.02  # a command waits for the poll in progress, which records end: polls are short while there is work
_WORK: Final = 2.0
_TIMEOUT: Final = 5.0
_AGAIN: Final = 1.0
_TRIES: Final = 3


class Subscription(NamedTuple):
    """What a member reads. The journal is not subscribed: its partitions ride along."""

    group: str
    topic: str
    journal: str | None


class _Owned:
    """A partition that the group gave us, and what is assigned to the consumer for it.

    ``start`` is None while nothing is read from it: refused, not opened yet (``late``), or its
    records are lost.
    """

    __slots__ = ("assigned", "committed", "late", "start", "told")

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []
        self.committed: Committed | None = None
        self.start: Start | None = None
        self.late = False
        self.told = False  # the listener has it, and must be asked to give it back


class GroupConsumer:
    """Public methods are for the event loop; everything else runs on the thread."""

    def __init__(
        self,
        create: Callable[[], Consumer],
        subscription: Subscription,
        listener: Listener,
        lease: Lease,
        watch: ClientWatch,
    ) -> None:
        self._create = create
        self._subscription = subscription
        self._listener = listener
        self._lease = lease
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._relay = Relay(self._loop, listener)
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._commands: deque[Callable[[], None]] = deque()
        self._leaving = False
        self._owned: dict[int, _Owned] = {}
        self._busy_until = 0.0
        self._open_again_at = 0.0
        self._called = False  # by the consumer, in one of its own calls
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Returns when the thread runs and the group is being joined."""
        threading.Thread(target=self._run, name="aiosv3-kafka-member", daemon=True).start()
        await self._ready

    async def commit(self, partition: int, committed: Committed) -> bool:
        """See :meth:`aiosv3.streams.log.Member.commit`. Gives up on the answer after one session."""
        if self.ended.is_set():
            return False
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._commands.append(partial(self._commit, partition, committed, answer))
        try:
            async with asyncio.timeout(self._lease.session):
                return await answer
        except TimeoutError:  # librdkafka's own wait for a broker has no end
            return False

    def flow(self, topic: str, partition: int, *, on: bool) -> None:
        """See :meth:`aiosv3.streams.log.Member.flow`."""
        self._commands.append(partial(self._flow, topic, partition, on=on))

    def restart(self, partition: int) -> None:
        """See :meth:`aiosv3.streams.log.Member.restart`."""
        self._commands.append(partial(self._restart, partition))

    def alive(self) -> bool:
        """A member that owns nothing has nothing to prove."""
        return not self.ended.is_set() and (self._lease.held() or not self._relay.owns)

    def leave(self) -> None:
        """Begins to leave; ``ended`` is set when it is done."""
        self._leaving = True

    def abandon(self) -> None:
        """The thread hangs in a call to a broker that is gone: forget it."""
        self._relay.hang_up()
        self.ended.set()

    def _end(self) -> None:
        self.ended.set()
        while self._commands:  # came after the thread's last look: nothing is owned now, so commits answer False
            self._commands.popleft()()

    def _run(self) -> None:
        try:
            self._consumer = self._create()
            self._commits = Commits(self._consumer, self._subscription.topic, self._lease)
            _, topic, journal = self._subscription
            check_topics(self._consumer, [topic] if journal is None else [topic, journal])
        except (KafkaException, AiosError) as failure:
            self._relay.call(self._failed, failure)
            return
        try:
            self._consumer.subscribe(
                [self._subscription.topic],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            self._relay.call(self._joined)
            while not self._leaving and self._watch.fatal is None:
                self._turn()
            if self._watch.fatal is not None:
                self._forget()  # fenced, say: another has its place, so there is nothing to give back
            self._hear_if_unsure()  # and give all back before librdkafka closes: it may refuse a commit then
            self._give_back(list(self._owned))
        finally:
            self._close()

    def _joined(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _failed(self, failure: Exception) -> None:
        if isinstance(failure, KafkaException):
            failure = self._watch.failure(error_of(failure), f"joining {self._subscription.group}")
        self.ended.set()
        if not self._ready.done():
            self._ready.set_exception(failure)

    def _close(self) -> None:
        try:
            self._called = True
            if not self._commits.lost:  # else somebody is in a call of it: the group notices the silence
                self._consumer.close()  # calls _on_revoke
        finally:
            self._forget()
            self._relay.call(self._end)

    def _turn(self) -> None:
        for _ in range(len(self._commands)):
            self._commands.popleft()()
        now = time.monotonic()
        if any(owned.late for owned in self._owned.values()) and now >= self._open_again_at:
            self._open_late(now)
        if self._lease.due():
            self._renew()
        if not self._relay.wait_if_behind(_IDLE):
            self._read(_BUSY if now < self._busy_until else _IDLE)

    def _read(self, wait: float) -> None:
        self._called = True
        first = self._consumer.poll(wait)
        before = dict(self._owned)
        messages = [] if first is None else [first, *self._consumer.consume(_BATCH - 1, 0)]
        self._called = False
        if not messages:
            return
        self._busy_until = time.monotonic() + _WORK
        records = records_of(messages)
        reading = self._readable(before)
        mine = [record for record in records if record.partition in reading]
        if mine:
            self._relay.records(mine)
        if len(records) != len(messages):
            for message in messages:
                if (error := message.error()) is not None:
                    self._trouble(error, message)

    def _readable(self, before: dict[int, _Owned]) -> set[int]:
        """Partitions whose fetched records count, after a call that may have run rebalances half way through.

        One that went and came back in that call has records of both ownerships: it begins again.
        """
        reading: set[int] = set()
        for partition, owned in self._owned.items():
            if owned.start is None:
                continue
            if before.get(partition, owned) is owned:
                reading.add(partition)
            else:
                for place in owned.assigned:
                    self._consumer.seek(place)
        return reading

    def _trouble(self, error: KafkaError, message: Message) -> None:
        topic, partition = message.topic(), message.partition()
        if error.code() in codes.OUT_OF_RANGE:
            if topic is not None and partition is not None:
                self._data_lost(topic, partition, message.offset() or 0)
            return
        if error.fatal():
            _LOG.critical("group %s: this member is out for good: %s", self._subscription.group, explain(error))
        self._watch.on_error(error)

    def _data_lost(self, topic: str, partition: int, needed: int) -> None:
        owned = self._owned.get(partition)
        if owned is None or owned.start is None:
            return
        owned.start = None
        self._consumer.pause(owned.assigned)
        try:
            why = str(out_of_range(self._consumer, topic, partition, needed))
        except KafkaException as failure:
            why = f"{topic}[{partition}] cannot be read at {needed}, and why is not known: {failure}"
        _LOG.error("group %s: %s", self._subscription.group, why)
        if owned.told:
            owned.told = False
            self._relay.lost([partition])

    def _commit(self, partition: int, committed: Committed, answer: asyncio.Future[bool]) -> None:
        if answer.done():  # nobody waits for it any more, and a later one says more
            return
        self._busy_until = time.monotonic() + _WORK
        self._hear_if_unsure()
        owned = self._owned.get(partition)
        accepted = owned is not None and owned.start is not None and self._send(partition, committed)
        if accepted and owned is not None:
            owned.committed = committed
        self._relay.settle(answer, value=accepted)

    def _hear_if_unsure(self) -> None:
        """Perhaps this process stood still: first hear whether its partitions were taken (rule 6)."""
        if not self._lease.held() and self._owned:
            self._read(0)

    def _send(self, partition: int, committed: Committed, tries: int = 1) -> bool:
        return self._commits.send(partition, committed, tries, inside=self._called)

    def _renew(self) -> None:
        """Commits once more what is committed already: the answer proves that this member is counted in."""
        for partition, owned in self._owned.items():
            if owned.start is not None:
                self._send(partition, owned.committed or Committed(owned.start.input, PLACEHOLDER))
                return

    def _flow(self, topic: str, partition: int, *, on: bool) -> None:
        owned = self._owned.get(partition)
        if owned is None or owned.start is None:
            return
        for assigned in owned.assigned:
            if assigned.topic == topic:
                (self._consumer.resume if on else self._consumer.pause)([TopicPartition(topic, partition)])

    def _restart(self, partition: int) -> None:
        owned = self._owned.get(partition)
        if owned is None or owned.late:
            return
        if owned.told:
            self._relay.lost([partition])
        self._consumer.incremental_unassign(owned.assigned)
        self._owned[partition] = _Owned()
        self._begin([partition])

    def _on_assign(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        given = self._numbers(partitions)
        for partition in given:
            self._owned[partition] = _Owned()
        self._begin(given)

    def _begin(self, partitions: Sequence[int]) -> None:
        try:
            facts = self._facts(partitions)
        except KafkaException as failure:
            self._postpone(partitions, failure)
        else:
            self._open(facts)

    def _numbers(self, partitions: Iterable[TopicPartition]) -> list[int]:
        return [place.partition for place in partitions if place.topic == self._subscription.topic]

    def _facts(self, partitions: Sequence[int]) -> dict[int, Facts]:
        if not partitions:
            return {}
        _, topic, journal = self._subscription
        return fetch(self._consumer, topic, journal, partitions, _TIMEOUT)

    def _postpone(self, partitions: Sequence[int], failure: KafkaException) -> None:
        """Where to start is not known: keep the partitions, read nothing, ask again."""
        _LOG.warning("group %s: %s", self._subscription.group, explain(error_of(failure)))
        places = [TopicPartition(self._subscription.topic, p, OFFSET_END) for p in partitions]
        self._consumer.incremental_assign(places)
        self._consumer.pause(places)
        for place in places:
            owned = self._owned[place.partition]
            owned.assigned, owned.late = [place], True
        self._open_again_at = time.monotonic() + _AGAIN

    def _open_late(self, now: float) -> None:
        late = [partition for partition, owned in self._owned.items() if owned.late]
        self._open_again_at = now + _AGAIN
        try:
            facts = self._facts(late)
        except KafkaException as failure:
            self._watch.on_error(error_of(failure))
            return
        self._consumer.incremental_unassign([place for p in late for place in self._owned[p].assigned])
        self._open(facts)

    def _open(self, facts: dict[int, Facts]) -> None:
        """Asks the listener where to start, and starts there."""
        refused: list[TopicPartition] = []
        assignments: list[Assignment] = []
        for partition, fact in facts.items():
            owned = self._owned[partition]
            owned.start = start = self._listener.starts(partition, *fact)
            owned.committed, owned.late, owned.told = fact.committed, False, True
            owned.assigned = self._places(partition, start, fact.input_start)
            if start is None:
                refused += owned.assigned
            assignments.append(Assignment(partition, start, fact.committed))
        places = [place for p in facts for place in self._owned[p].assigned]
        self._consumer.incremental_assign(places)
        self._consumer.resume(places)  # librdkafka keeps a pause when a partition goes and comes back
        self._consumer.pause(refused)
        if self._lease.due():
            self._renew()
        self._relay.assigned(assignments)

    def _places(self, partition: int, start: Start | None, otherwise: int) -> list[TopicPartition]:
        _, topic, journal = self._subscription
        if start is None:
            return [TopicPartition(topic, partition, otherwise)]
        places = [TopicPartition(topic, partition, start.input)]
        if journal is not None and start.journal is not None:
            places.append(TopicPartition(journal, partition, start.journal))
        return places

    def _on_revoke(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._give_back([partition for partition in self._numbers(partitions) if partition in self._owned])

    def _give_back(self, going: Sequence[int]) -> None:
        """With their last commits, tried again where a moment may help: the next owner redoes what they lack."""
        told = [partition for partition in going if self._owned[partition].told]
        finals = self._relay.revoked(told) if told else {}
        for partition, final in finals.items():
            if final is not None and self._owned[partition].start is not None:
                self._send(partition, final, _TRIES)
        places = [place for partition in going for place in self._owned.pop(partition).assigned]
        self._consumer.incremental_unassign(places)

    def _on_lost(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """All is lost, whatever the list says: it is the membership that went."""
        places = [place for owned in self._owned.values() for place in owned.assigned]
        self._forget()
        self._consumer.incremental_unassign(places)

    def _forget(self) -> None:
        self._lease.drop()
        told = [partition for partition, owned in self._owned.items() if owned.told]
        self._owned.clear()
        if told:
            self._relay.lost(told)
