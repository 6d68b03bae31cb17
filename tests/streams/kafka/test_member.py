"""Membership on a real broker, under both group protocols."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from aiosv3.streams.errors import BrokerUnavailable, PartitionMismatch
from aiosv3.streams.kafka import Connection, GroupProtocol, KafkaMember, KafkaRefused, MemberSettings, commits, doubt
from aiosv3.streams.log import Committed, Start

from .conftest import PROTOCOLS, Cluster, Recorder
from .nameless import Nameless

pytestmark = pytest.mark.kafka


def _offsets(listener: Recorder, topic: str, partition: int) -> list[int]:
    return listener.seen.get((topic, partition), [])


class Gate:
    """While it is shut, the thread of a member stands still before its next poll; the threads of librdkafka go on."""

    def __init__(self) -> None:
        self._shut = threading.Event()
        self._open = threading.Event()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Once only."""
        self._shut.set()
        try:
            yield
        finally:
            self._shut.clear()
            self._open.set()

    def consumer(self, sent: list[int] | None = None) -> type[Consumer]:
        """To ``sent`` come the offsets that are committed."""
        gate = self

        class Gated(Consumer):
            def poll(self, *args: Any, **options: Any) -> Any:
                if gate._shut.is_set():
                    gate._open.wait()
                return super().poll(*args, **options)

            def commit(self, *args: Any, **options: Any) -> Any:
                if sent is not None:
                    sent.extend(place.offset for place in options["offsets"])
                return super().commit(*args, **options)

        return Gated


async def test_reads_input_and_journal_and_commits(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 2)
    journal = cluster.topics.create("journal", 2)
    for topic in (tasks, journal):
        for partition in (0, 1):
            await cluster.append(topic, partition, [b"%d" % n for n in range(100)])
    listener = Recorder(tasks, journal)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: sum(map(len, listener.seen.values())) == 400)
    for topic in (tasks, journal):
        for partition in (0, 1):
            assert _offsets(listener, topic, partition) == list(range(100))
    assert listener.commits == {0: None, 1: None}
    assert member.alive()
    assert await member.commit(0, Committed(40, "x" * 4_095))
    assert not await member.commit(1, Committed(40, "x" * 4_096))
    assert not await member.commit(7, Committed(1, ""))
    listener.commits_on_revoke = False
    await member.leave()
    assert sorted(listener.events) == [("assigned", 0), ("assigned", 1), ("revoked", 0), ("revoked", 1)]
    assert not member.alive()
    assert not await member.commit(0, Committed(41, ""))

    again = Recorder(tasks, journal)
    await cluster.member(topic_prefix + "g", again, protocol=protocol).join(again)
    await again.until(lambda: len(again.owned) == 2)
    assert again.commits == {0: Committed(40, "x" * 4_095), 1: None}


async def test_members_come_and_go_and_no_record_is_missed_or_foreign(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    """The journal partitions ride with the input partitions of the same number, through every rebalance."""
    tasks = cluster.topics.create("tasks", 4)
    journal = cluster.topics.create("journal", 4)
    stop = asyncio.Event()
    written = dict.fromkeys([(topic, p) for topic in (tasks, journal) for p in range(4)], 0)

    async def write() -> None:
        while not stop.is_set():
            for topic, partition in written:
                await cluster.append(topic, partition, [b"x"] * 5)
                written[topic, partition] += 5

    writing = asyncio.create_task(write())
    listeners = [Recorder(tasks, journal) for _ in range(3)]
    members = [cluster.member(topic_prefix + "g", listener, protocol=protocol) for listener in listeners]
    await members[0].join(listeners[0])
    await listeners[0].until(lambda: len(listeners[0].owned) == 4)
    await members[1].join(listeners[1])
    await listeners[1].until(lambda: len(listeners[1].owned) == 2)
    await members[2].join(listeners[2])
    await listeners[2].until(lambda: len(listeners[2].owned) == 1)
    await members[0].leave()
    await listeners[1].until(lambda: len(listeners[1].owned) + len(listeners[2].owned) == 4)
    await members[1].leave()
    await listeners[2].until(lambda: len(listeners[2].owned) == 4)
    stop.set()
    await writing

    def caught_up() -> bool:
        return all(_offsets(listeners[2], *place)[-1:] == [count - 1] for place, count in written.items())

    await listeners[2].until(caught_up)
    for topic, partition in written:
        runs = [_offsets(listener, topic, partition) for listener in listeners]
        assert set().union(*runs) == set(range(written[topic, partition])), (topic, partition)
    for partition in range(4):
        # Commits on revoke were all accepted: no input record was read twice.
        runs = [_offsets(listener, tasks, partition) for listener in listeners]
        assert sum(map(len, runs)) == written[tasks, partition]
        assert _offsets(listeners[2], journal, partition) == list(range(written[journal, partition]))
    assert [listener.foreign for listener in listeners] == [[], [], []]
    assert not any(event == "lost" for listener in listeners for event, _ in listener.events)


async def test_flow_off_and_on_loses_and_doubles_nothing(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 2)
    journal = cluster.topics.create("journal", 2)
    count = 20_000
    for topic in (tasks, journal):
        for partition in (0, 1):
            await cluster.append(topic, partition, [b"x" * 100] * count)
    listener = Recorder(tasks, journal)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    loop = asyncio.get_running_loop()

    def hold(records: Any) -> None:
        topic, partition = records[0].topic, records[0].partition
        member.flow(topic, partition, on=False)
        loop.call_later(0.001, lambda: member.flow(topic, partition, on=True))

    listener.on_records = hold
    await member.join(listener)
    await listener.until(lambda: sum(map(len, listener.seen.values())) >= 4 * count, 60)
    for topic in (tasks, journal):
        for partition in (0, 1):
            assert _offsets(listener, topic, partition) == list(range(count))


async def test_a_held_partition_is_silent_and_the_other_goes_on(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 2)
    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: len(listener.owned) == 2)
    member.flow(tasks, 0, on=False)
    assert await member.commit(0, Committed(0, ""))  # commands are obeyed in order: the flow is held now
    for _ in range(5):
        await cluster.append(tasks, 0, [b"held"])
        await cluster.append(tasks, 1, [b"flows"])
    await listener.until(lambda: _offsets(listener, tasks, 1) == list(range(5)))
    assert _offsets(listener, tasks, 0) == []
    member.flow(tasks, 0, on=True)
    await listener.until(lambda: _offsets(listener, tasks, 0) == list(range(5)))


async def test_a_late_commit_is_never_sent(cluster: Cluster, protocol: GroupProtocol, topic_prefix: str) -> None:
    """A commit that is asked for while the partition goes, or after, is refused here (rule 6)."""
    tasks = cluster.topics.create("tasks", 2)
    for partition in (0, 1):
        await cluster.append(tasks, partition, [b"x"] * 10)
    late: list[asyncio.Task[bool]] = []

    class Stubborn(Recorder):
        def revoked(self, partition: int) -> Committed | None:
            super().revoked(partition)
            assert self.member is not None
            late.append(asyncio.create_task(self.member.commit(partition, Committed(1_000, "late"))))
            return Committed(5, "final")

    first, second = Stubborn(tasks), Recorder(tasks, commits_on_revoke=False)
    leaver = cluster.member(topic_prefix + "g", first, protocol=protocol)
    await leaver.join(first)
    await first.until(lambda: len(first.owned) == 2)
    stayer = cluster.member(topic_prefix + "g", second, protocol=protocol)
    await stayer.join(second)
    await second.until(lambda: len(second.owned) == 1)
    moved = next(iter(second.owned))
    assert second.commits[moved] == Committed(5, "final")
    assert [await task for task in late] == [False]
    assert not await leaver.commit(moved, Committed(1_000, "late"))
    await leaver.leave()
    await second.until(lambda: len(second.owned) == 2)
    assert set(second.commits.values()) == {Committed(5, "final")}
    assert [await task for task in late] == [False, False]


async def test_a_commit_that_waits_is_not_sent_for_the_ownership_after_it(cluster: Cluster, topic_prefix: str) -> None:
    """It speaks of what the last owner had finished, and the next one begins at what was committed."""
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x"] * 9)
    sent: list[int] = []
    gate = Gate()
    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, consumer_type=gate.consumer(sent))
    await member.join(listener)
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 9)
    with gate.shut():
        first = asyncio.create_task(member.commit(0, Committed(5, "under way")))
        behind = asyncio.create_task(member.commit(0, Committed(7, "behind it")))
        await asyncio.sleep(0)
        member.restart(0)
    await listener.until(lambda: listener.events == [("assigned", 0), ("lost", 0), ("assigned", 0)])
    assert not await behind
    await first
    assert await member.commit(0, Committed(9, "by the next"))
    assert 5 in sent
    assert 7 not in sent


async def test_a_refused_partition_is_held_and_not_read(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 2)
    await cluster.append(tasks, 0, [b"x"] * 10)
    await cluster.append(tasks, 1, [b"x"] * 10)
    listener = Recorder(tasks, refuses=frozenset({0}))
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: len(_offsets(listener, tasks, 1)) == 10)
    assert listener.owned[0] is None
    assert _offsets(listener, tasks, 0) == []
    assert not await member.commit(0, Committed(1, ""))
    listener.refuses = frozenset()
    member.restart(0)
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 10)
    assert listener.events[-2:] == [("lost", 0), ("assigned", 0)]


async def test_restart_reads_again_from_the_commit(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    journal = cluster.topics.create("journal", 1)
    await cluster.append(tasks, 0, [b"x"] * 1_000)
    await cluster.append(journal, 0, [b"x"] * 50)
    listener = Recorder(tasks, journal)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(
        lambda: (len(_offsets(listener, tasks, 0)), len(_offsets(listener, journal, 0))) == (1_000, 50)
    )
    assert await member.commit(0, Committed(400, "here"))
    listener.seen.clear()
    member.restart(0)
    await listener.until(lambda: listener.events[-1] == ("assigned", 0) and len(listener.seen) == 2)
    await listener.until(lambda: _offsets(listener, tasks, 0)[-1:] == [999])
    assert listener.events == [("assigned", 0), ("lost", 0), ("assigned", 0)]
    assert listener.commits[0] == Committed(400, "here")
    assert _offsets(listener, tasks, 0) == list(range(400, 1_000))
    await listener.until(lambda: _offsets(listener, journal, 0) == list(range(50)))
    assert await member.commit(0, Committed(1_000, ""))


async def test_lost_records_stop_the_partition_with_a_name(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x"] * 100)

    class Behind(Recorder):
        def starts(self, partition: int, committed: Any, input_start: int, journal_start: int) -> Start:
            return Start(20)  # ignores that the log starts higher

    await cluster.log.truncate(tasks, 0, 50)
    listener = Behind(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: ("lost", 0) in listener.events)
    assert _offsets(listener, tasks, 0) == []
    assert f"{tasks}[0] starts at offset 50, but this group still needs 20" in caplog.text
    assert not await member.commit(0, Committed(100, ""))


async def test_a_blocked_loop_gets_no_flood_and_no_gap(cluster: Cluster, topic_prefix: str) -> None:
    """The thread stops fetching for a loop that does not keep up, then goes on. Its proofs go on all along."""
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x" * 20] * 30_000)
    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=PROTOCOLS[0])
    await member.join(listener)
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) > 0)
    thread = member._consumer
    assert thread is not None
    began = time.monotonic()
    while time.monotonic() < began + 3.5:  # a handler that hogs the loop, for longer than a proof lasts
        sum(range(1_000))
    assert thread._lease._proven > began + 0.5
    assert thread._relay._sent - thread._relay._taken <= 6_000
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 30_000)
    assert _offsets(listener, tasks, 0) == list(range(30_000))


async def test_a_start_that_cannot_be_asked_for_is_asked_again(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    """The group coordinator does not answer while partitions are given: they are kept, and opened later."""
    tasks = cluster.topics.create("tasks", 2)
    journal = cluster.topics.create("journal", 2)
    for topic in (tasks, journal):
        for partition in (0, 1):
            await cluster.append(topic, partition, [b"x"] * 100)
    failures = [1, 2]

    class Flaky(Consumer):
        def committed(self, *args: Any, **options: Any) -> Any:
            if failures:
                failures.pop()
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            return super().committed(*args, **options)

    listener = Recorder(tasks, journal)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol, consumer_type=Flaky)
    await member.join(listener)
    await listener.until(lambda: sum(map(len, listener.seen.values())) == 400)
    assert failures == []
    assert sorted(listener.events) == [("assigned", 0), ("assigned", 1)]
    for topic in (tasks, journal):
        for partition in (0, 1):
            assert _offsets(listener, topic, partition) == list(range(100))


async def test_a_client_that_is_not_answered_is_replaced(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As librdkafka may never answer a commit, and never let go of a partition before it has."""
    monkeypatch.setattr(doubt, "PATIENCE_S", 0.0)
    monkeypatch.setattr(doubt, "GRACE_S", 0.5)
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x"] * 100)
    made: list[Consumer] = []

    class Losing(Consumer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

        def commit(self, *args: Any, **options: Any) -> Any:
            if self is not made[0] or options["offsets"][0].offset == 0:
                return super().commit(*args, **options)
            return None  # and nothing is heard of it

    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol, consumer_type=Losing)
    await member.join(listener)
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 100)
    lost = asyncio.create_task(member.commit(0, Committed(100, "lost")))
    await cluster.append(tasks, 0, [b"y"] * 50)
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 150)
    await listener.until(lambda: ("lost", 0) in listener.events)
    assert not await lost
    await listener.until(lambda: listener.events[-1] == ("assigned", 0))
    assert listener.commits[0] is None
    assert await member.commit(0, Committed(150, "heard"))
    assert len(made) == 2
    await listener.until(lambda: len(_offsets(listener, tasks, 0)) == 300)
    assert _offsets(listener, tasks, 0) == [*range(150), *range(150)]


async def test_one_commit_without_an_answer_is_enough(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that are answered do not make up for it: until then librdkafka gives no partition back."""
    for name, value in (("PATIENCE_S", 0.0), ("GRACE_S", 0.5)):
        monkeypatch.setattr(doubt, name, value)
    monkeypatch.setattr(commits, "_OVERDUE_S", 1.0)
    tasks = cluster.topics.create("tasks", 2)
    made: list[Consumer] = []

    class Losing(Consumer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

        def commit(self, *args: Any, **options: Any) -> Any:
            place = options["offsets"][0]
            return None if self is made[0] and place.metadata == "lost" else super().commit(*args, **options)

    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol, consumer_type=Losing)
    await member.join(listener)
    await listener.until(lambda: len(listener.owned) == 2)
    lost = asyncio.create_task(member.commit(0, Committed(0, "lost")))
    async with asyncio.timeout(30):
        while len(made) == 1:
            await member.commit(1, Committed(0, "heard"))
    assert not await lost


async def test_a_client_that_owns_nothing_and_reaches_nobody_is_replaced(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubt, "PATIENCE_S", 0.0)
    monkeypatch.setattr(doubt, "GRACE_S", 0.5)
    tasks = cluster.topics.create("tasks", 1)
    made: list[Consumer] = []
    second = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Lonely(Consumer):
        asked = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)
            if len(made) == 2:
                loop.call_soon_threadsafe(second.set)

        def list_topics(self, *args: Any, **options: Any) -> Any:
            self.asked += 1
            if self is made[0] and self.asked > 1:  # the first is for the check of its topics
                raise KafkaException(KafkaError(KafkaError._TRANSPORT))
            return super().list_topics(*args, **options)

    owner, waiting = Recorder(tasks), Recorder(tasks)
    first = cluster.member(topic_prefix + "g", owner, protocol=protocol)
    await first.join(owner)
    await owner.until(lambda: 0 in owner.owned)
    await cluster.member(topic_prefix + "g", waiting, protocol=protocol, consumer_type=Lonely).join(waiting)
    async with asyncio.timeout(30):
        await second.wait()
    assert owner.events == [("assigned", 0)]
    await first.leave()
    await waiting.until(lambda: 0 in waiting.owned)
    assert len(made) == 2


async def test_a_cluster_that_names_no_broker_for_a_moment_does_not_end_the_work(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    """librdkafka then drops all that it knows. Who waits for a commit keeps it from asking again (its bug 5301)."""
    tasks = cluster.topics.create("tasks", 4)
    listener = Recorder(tasks)
    async with Nameless(cluster.connection.bootstrap).open() as way:
        member = KafkaMember(Connection(way.bootstrap), topic_prefix + "g", tasks, protocol=protocol)
        listener.member = member
        await member.join(listener)
        await listener.until(lambda: len(listener.owned) == 4)

        async def commit_all() -> None:
            while True:
                for partition in list(listener.owned):
                    await member.commit(partition, Committed(len(_offsets(listener, tasks, partition)), ""))
                await asyncio.sleep(0)

        committing = asyncio.create_task(commit_all())
        for partition in range(4):
            await cluster.append(tasks, partition, [b"x"] * 25)
        await listener.until(lambda: sum(map(len, listener.seen.values())) == 100)
        way.stand_still()
        way.asked.clear()
        async with asyncio.timeout(30):
            await way.asked.wait()  # as a request has timed out
            way.names_none = True
            way.go_on()
            await way.told.wait()
        way.names_none = False
        for partition in range(4):
            await cluster.append(tasks, partition, [b"y"] * 25)
        await listener.until(lambda: all(_offsets(listener, tasks, p)[-1:] == [49] for p in range(4)))
        committing.cancel()
        async with asyncio.timeout(30):
            while not await member.commit(0, Committed(50, "heard")):
                pass
        await member.leave()


async def test_last_commits_stand_though_a_closing_client_refuses_them(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    """librdkafka may answer a commit with ``_DESTROY``, now and then and always while it closes."""
    tasks = cluster.topics.create("tasks", 2)
    for partition in (0, 1):
        await cluster.append(tasks, partition, [b"x"] * 100)
    leaving = False
    refused: list[int] = []

    class Closing(Consumer):
        closes = False

        def close(self) -> None:
            self.closes = True
            super().close()

        def commit(self, *args: Any, **options: Any) -> Any:
            if leaving and (self.closes or len(refused) < 2):
                refused.append(options["offsets"][0].partition)
                raise KafkaException(KafkaError(KafkaError._DESTROY))
            return super().commit(*args, **options)

    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol, consumer_type=Closing)
    await member.join(listener)
    await listener.until(lambda: sum(map(len, listener.seen.values())) == 200)
    leaving = True
    await member.leave()
    assert len(refused) == 2
    again = Recorder(tasks)
    await cluster.member(topic_prefix + "g", again, protocol=protocol).join(again)
    await again.until(lambda: len(again.owned) == 2)
    assert again.commits == {0: Committed(100, "left at 100"), 1: Committed(100, "left at 100")}


async def test_partition_counts_that_differ_are_refused(cluster: Cluster, topic_prefix: str) -> None:
    listener = Recorder(cluster.topics.create("tasks", 2), cluster.topics.create("journal", 3))
    with pytest.raises(PartitionMismatch, match="must be the same"):
        await cluster.member(topic_prefix + "g", listener, protocol=PROTOCOLS[0]).join(listener)


async def test_a_missing_topic_is_refused(cluster: Cluster, topic_prefix: str) -> None:
    listener = Recorder(topic_prefix + "nope")
    with pytest.raises(KafkaRefused, match=r"no topic .*nope: create it first"):
        await cluster.member(topic_prefix + "g", listener, protocol=PROTOCOLS[0]).join(listener)


async def test_no_broker_is_one_clear_error() -> None:
    listener = Recorder("tasks")
    began = time.monotonic()
    for protocol in (None, PROTOCOLS[0]):
        member = KafkaMember(Connection("127.0.0.1:1"), "g", "tasks", protocol=protocol)
        with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:1 .*aiosv3 up"):
            await member.join(listener)
        assert not member.alive()
        assert not await member.commit(0, Committed(0, ""))
        await member.leave()
    assert time.monotonic() - began < 25


async def test_a_member_of_the_same_name_takes_over_at_once_and_the_earlier_one_is_out(
    cluster: Cluster, topic_prefix: str
) -> None:
    """What a killed worker had goes to its next life without a session's wait; a zombie commits nothing over it.

    And says that it is out: its process would go on without work, and nobody would start it again.
    """
    said: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.put_nowait(context["message"]))
    tasks = cluster.topics.create("tasks", 2)
    settings = MemberSettings(session_ms=60_000, instance_id="place-1")  # far longer than the test may take
    first, heir = Recorder(tasks), Recorder(tasks)
    zombie = cluster.member(topic_prefix + "g", first, settings=settings)
    await zombie.join(first)
    await first.until(lambda: set(first.owned) == {0, 1})
    assert await zombie.commit(0, Committed(0, "zombie"))
    member = cluster.member(topic_prefix + "g", heir, settings=settings)
    await member.join(heir)
    await heir.until(lambda: set(heir.owned) == {0, 1})
    assert heir.commits[0] == Committed(0, "zombie")
    assert await member.commit(0, Committed(0, "heir"))
    assert not await zombie.commit(0, Committed(0, "late"))
    await first.until(lambda: ("lost", 0) in first.events and ("lost", 1) in first.events)
    async with asyncio.timeout(30):
        assert "no two may have the same" in await said.get()
        while zombie.alive():
            await asyncio.sleep(0)
    assert member.alive()
    assert said.empty()


async def test_a_thread_that_fails_is_told_to_the_loop(cluster: Cluster, topic_prefix: str) -> None:
    tasks = cluster.topics.create("tasks", 1)
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.put_nowait(context))
    broken = asyncio.Event()

    class Breaking(Consumer):
        def poll(self, *args: Any, **options: Any) -> Any:
            if broken.is_set():
                raise ArithmeticError("who would think of that")
            return super().poll(*args, **options)

    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, consumer_type=Breaking)
    await member.join(listener)
    await listener.until(lambda: 0 in listener.owned)
    broken.set()
    async with asyncio.timeout(30):
        context = await said.get()
    assert isinstance(context["exception"], ArithmeticError)
    await listener.until(lambda: listener.events[-1] == ("lost", 0))
    async with asyncio.timeout(30):
        while member.alive():
            await asyncio.sleep(0)


async def test_a_thread_that_stands_still_holds_the_group_up_no_longer_than_it_may(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    """Its heartbeats go on, from a thread of librdkafka: only the longest time between two polls ends it."""
    tasks = cluster.topics.create("tasks", 2)
    gate = Gate()
    settings = MemberSettings(max_poll_ms=6_000)
    first, second = Recorder(tasks), Recorder(tasks)
    group = topic_prefix + "g"
    await cluster.member(group, first, protocol=protocol, settings=settings, consumer_type=gate.consumer()).join(first)
    await first.until(lambda: len(first.owned) == 2)
    with gate.shut():
        await cluster.member(group, second, protocol=protocol, settings=settings).join(second)
        await second.until(lambda: len(second.owned) == 2)
    await first.until(lambda: first.events[-1][0] == "assigned" and len(first.events) > 2)
    await second.until(lambda: len(second.owned) == 1)
    assert sorted([*first.owned, *second.owned]) == [0, 1]
    assert "lost" in [what for what, _ in first.events]


async def test_a_named_and_an_unnamed_member_share_a_group(cluster: Cluster, topic_prefix: str) -> None:
    """``aiosv3 up`` names its workers; one that somebody starts beside them speaks the other protocol."""
    tasks = cluster.topics.create("tasks", 4)
    named, plain = Recorder(tasks), Recorder(tasks)
    await cluster.member(topic_prefix + "g", named, settings=MemberSettings(instance_id="place-1")).join(named)
    await named.until(lambda: len(named.owned) == 4)
    await cluster.member(topic_prefix + "g", plain, protocol=PROTOCOLS[1]).join(plain)
    await plain.until(lambda: len(plain.owned) == 2)
    await named.until(lambda: len(named.owned) == 2)
    assert set(named.owned) | set(plain.owned) == {0, 1, 2, 3}
