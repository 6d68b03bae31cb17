"""The thread of a group member: it alone touches the consumer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.client import GroupClient
from aiosv3.streams.kafka.connection import error_of, explain
from aiosv3.streams.kafka.doubt import Doubt
from aiosv3.streams.kafka.facts import PLACEHOLDER, Facts, check_topics, fetch, out_of_range
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.kafka.messages import records_of
from aiosv3.streams.kafka.owned import Owned, Subscription
from aiosv3.streams.kafka.relay import Assignment, Relay
from aiosv3.streams.log import Committed, Listener

_LOG = logging.getLogger("aiosv3.streams.kafka")
_BATCH: Final = 500
_IDLE: Final = 0.1
_BUSY: Final = 0.02  # a command waits for the poll in progress, which records end: polls are short while there is work
_WORK: Final = 2.0
_TIMEOUT: Final = 5.0
_AGAIN: Final = 1.0


class GroupConsumer:
    """Public methods are for the event loop; everything else runs on the thread."""

    def __init__(
        self,
        create: Callable[[], GroupClient],
        subscription: Subscription,
        listener: Listener,
        lease: Lease,
        doubt: Doubt,
    ) -> None:
        self._create = create
        self._subscription = subscription
        self._listener = listener
        self._lease = lease
        self._doubt = doubt
        self._loop = asyncio.get_running_loop()
        self._relay = Relay(self._loop, listener)
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._commands: deque[Callable[[], None]] = deque()
        self._leaving = False
        self._owned: dict[int, Owned] = {}
        self._busy_until = 0.0
        self._open_again_at = 0.0
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
        except TimeoutError:  # there may be no answer, ever
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
        """The thread hangs in a call to a client that does not end: forget it."""
        self._relay.hang_up()
        self.ended.set()

    def _end(self) -> None:
        self.ended.set()
        while self._commands:  # came after the thread's last look: nothing is owned now, so commits answer False
            self._commands.popleft()()

    def _run(self) -> None:
        try:
            self._use(self._create())
            _, topic, journal = self._subscription
            check_topics(self._consumer, [topic] if journal is None else [topic, journal])
        except (KafkaException, AiosError) as failure:
            self._relay.call(self._failed, failure)
            return
        try:
            self._client.subscribe(self)
            self._relay.call(self._joined)
            while not self._leaving and self._client.watch.fatal is None:
                self._turn()
            if (fatal := self._client.watch.fatal) is not None:
                self.on_lost([])  # fenced, say: another has its place, so there is nothing to give back
                self._relay.call(self._out, f"this member is out for good: {explain(fatal)}")
            self._hear_if_unsure()
            self._ask_back(list(self._owned))
            self._client.hear_last()  # before librdkafka closes: it may refuse a commit then
        except Exception as failure:  # noqa: BLE001 - on a thread nobody would hear of it; the loop's handler does
            self._forget()
            self._relay.call(self._out, "the thread of this member failed", failure)
        finally:
            self._close()

    def _out(self, why: str, failure: Exception | None = None) -> None:
        context = {"message": f"group {self._subscription.group}: {why}"}
        self._loop.call_exception_handler(context if failure is None else context | {"exception": failure})

    def _use(self, client: GroupClient) -> None:
        self._client, self._consumer = client, client.consumer
        self._doubt.heard()

    def _replace(self) -> None:
        """Nobody comes back from that: what this client had is lost, and another joins instead."""
        group = self._subscription.group
        _LOG.error("group %s: no answer, though brokers answer others: joining again with another client", group)
        self._forget()
        self._client.let_go()
        self._use(self._create())
        self._client.subscribe(self)

    def _joined(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _failed(self, failure: Exception) -> None:
        if isinstance(failure, KafkaException):
            failure = self._client.watch.failure(error_of(failure), f"joining {self._subscription.group}")
        self.ended.set()
        if not self._ready.done():
            self._ready.set_exception(failure)

    def _close(self) -> None:
        try:
            self._client.close()
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
        if self._doubt.hopeless():
            self._replace()
        if not self._relay.wait_if_behind(_IDLE):
            self._read(_BUSY if now < self._busy_until else _IDLE)
        elif self._client.commits.under_way():  # their answers come with records only: as few as can be
            self._read(0, most=1)

    def _read(self, wait: float, most: int = _BATCH) -> None:
        first = self._consumer.poll(wait)
        before = dict(self._owned)
        messages = [] if first is None else [first, *(self._consumer.consume(most - 1, 0) if most > 1 else ())]
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

    def _readable(self, before: dict[int, Owned]) -> set[int]:
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
        self._client.watch.on_error(error)

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
        if owned is None or owned.start is None:
            self._relay.settle(answer, value=False)
            return

        def answered(taken: bool) -> None:
            if taken:
                owned.committed = committed
            self._answered(taken)
            self._relay.settle(answer, value=taken)

        self._client.commits.send(partition, committed, answered)

    def _hear_if_unsure(self) -> None:
        """Perhaps this process stood still: first hear whether its partitions were taken (rule 6)."""
        if not self._lease.held() and self._owned:
            self._read(0)

    def _renew(self) -> None:
        """Commits once more what is committed already: the answer proves that this member is counted in.

        One that has nothing to commit proves no more than that it reaches a broker.
        """
        if self._client.commits.under_way():
            return
        for partition, owned in self._owned.items():
            if owned.start is not None:
                again = owned.committed or Committed(owned.start.input, PLACEHOLDER)
                self._client.commits.send(partition, again, self._answered)
                return
        if self._client.answered() and not self._client.commits.overdue():
            self._doubt.heard()

    def _answered(self, taken: bool) -> None:
        self._relay.release()
        if taken and not self._client.commits.overdue():
            self._doubt.heard()

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
        self._client.commits.drop_waiting(partition)
        self._consumer.incremental_unassign(owned.assigned)
        self._owned[partition] = Owned()
        self._begin([partition])

    def on_assign(self, partitions: Sequence[TopicPartition]) -> None:
        """See :class:`aiosv3.streams.kafka.client.Rebalances`."""
        given = self._numbers(partitions)
        for partition in given:
            self._owned[partition] = Owned()
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
            self._client.watch.on_error(error_of(failure))
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
            owned.assigned = self._subscription.places(partition, start, fact.input_start)
            if start is None:
                refused += owned.assigned
            assignments.append(Assignment(partition, start, fact.committed))
        places = [place for p in facts for place in self._owned[p].assigned]
        self._consumer.incremental_assign(places)
        self._consumer.resume(places)  # librdkafka keeps a pause when a partition goes and comes back
        self._consumer.pause(refused)
        if self._lease.due() and any(self._owned[partition].start is not None for partition in facts):
            self._relay.hold()  # the listener hears of them when it may begin
            self._renew()
        self._relay.assigned(assignments)

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """See :class:`aiosv3.streams.kafka.client.Rebalances`."""
        going = [partition for partition in self._numbers(partitions) if partition in self._owned]
        if not going:  # forgotten already: the client lets go of them by itself, if it is not told otherwise
            return
        self._ask_back(going)
        places = [place for partition in going for place in self._owned.pop(partition).assigned]
        self._consumer.incremental_unassign(places)  # done when the last commits are answered

    def _ask_back(self, going: Sequence[int]) -> None:
        """And commits what the listener has to commit yet: the next owner redoes what that lacks."""
        for partition in going:
            self._client.commits.drop_waiting(partition)
        told = [partition for partition in going if self._owned[partition].told]
        finals = self._relay.revoked(told) if told else {}
        for partition in told:
            self._owned[partition].told = False
        for partition, final in finals.items():
            if final is not None and self._owned[partition].start is not None:
                self._client.commits.send_last(partition, final, self._answered)

    def on_lost(self, _: Sequence[TopicPartition]) -> None:
        """All is lost, whatever the list says: it is the membership that went."""
        places = [place for owned in self._owned.values() for place in owned.assigned]
        self._forget()
        self._consumer.incremental_unassign(places)

    def _forget(self) -> None:
        self._lease.drop()
        self._client.commits.give_up()
        told = [partition for partition, owned in self._owned.items() if owned.told]
        self._owned.clear()
        if told:
            self._relay.lost(told)
