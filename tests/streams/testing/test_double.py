"""What the double does beyond the contract: deletion, compaction, time-outs, sessions, dead and paused processes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from aiosv3.streams.errors import AppendFailed, AppendUnknown, BrokerUnavailable, DataLost, Fenced
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Appended, Committed, Outgoing, Record, Start
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog, MemoryMember, Network, TopicSettings, UnknownTopic
from aiosv3.streams.testing.network import Arrive, Lane


def outgoing(topic: str, key: bytes | None = None, value: bytes | None = b"v", partition: int = 0) -> Outgoing:
    return Outgoing(topic, partition, key, value, [])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Listening:
    """Owns what it is given; commits where it stands when it lets go."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.position: dict[int, int] = {}

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start:
        return Start(committed.offset if committed else input_start)

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        assert start is not None
        self.position[partition] = start.input
        self.heard.append(f"assigned {partition}")

    def records(self, records: Sequence[Record]) -> None:
        for record in records:
            self.position[record.partition] = record.offset + 1

    def revoked(self, partition: int) -> Committed | None:
        self.heard.append(f"revoked {partition}")
        return Committed(self.position.pop(partition), "last")

    def lost(self, partition: int) -> None:
        self.heard.append(f"lost {partition}")
        del self.position[partition]


class Told(list[Appended | AppendFailed]):
    """Outcomes, in the order in which they came."""


class Deaf(Network):
    """By kind of message: loses answers (``lost``), holds up answers (``late``) and requests (``held``)."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[str] = []
        self.held: list[str] = []
        self.late: list[str] = []
        self.stuck: list[tuple[Host, Arrive]] = []

    def to_broker(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        if (lane[0] if lane else "ask") in self.held:
            self.stuck.append((host, arrive))
        else:
            super().to_broker(host, lane, arrive)

    def to_host(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        kind = lane[0] if lane else "ask"
        if kind in self.late:
            self.stuck.append((host, arrive))
        elif kind not in self.lost:
            super().to_host(host, lane, arrive)


class Bench:
    """Everything on one virtual clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loop = DeterministicLoop(lambda: self.now)
        self.network = Deaf()
        self.broker = MemoryBroker(lambda: 1000.0 + self.now, self.network)
        self.broker.create_topic("in", 2)

    def host(self, name: str) -> Host:
        return Host(name, self.loop)

    def member(self, name: str) -> tuple[MemoryMember, Listening]:
        log = MemoryLog(self.broker, self.host(name))
        member, listening = MemoryMember(self.broker, log, "g", "in"), Listening()
        self.loop.create_task(member.join(listening))
        self.settle()
        return member, listening

    def settle(self, seconds: float = 0.0) -> None:
        end = self.now + seconds
        self.loop.run_until_idle()
        while (when := self.loop.next_timer()) is not None and when <= end:
            self.now = when
            self.loop.run_due()
            self.loop.run_until_idle()
        self.now = end

    def commit(self, member: MemoryMember, committed: Committed) -> bool:
        task = self.loop.create_task(member.commit(0, committed))
        self.settle(11.0)
        return task.result()


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- the broker


def test_compaction_keeps_the_last_of_each_key_and_leaves_holes() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1, TopicSettings(cleanup="compact"))
    for key in (b"a", b"b", b"a", b"c", b"b"):
        broker.append(outgoing("t", key))
    broker.clean()
    assert [(r.offset, r.key) for r in broker.records("t")] == [(2, b"a"), (3, b"c"), (4, b"b")]
    log = broker.partition("t", 0)
    assert log.bounds == (0, 5)
    assert [r.offset for r in log.take(0, 5, 2)[0]] == [2, 3]
    assert log.take(0, 5, 2)[1] == 4
    assert log.take(0, 2, 10) == ([], 2)
    with pytest.raises(AppendFailed, match="without a key"):
        broker.append(outgoing("t"))


def test_what_is_young_is_not_compacted_nor_does_it_replace_what_is_older() -> None:
    clock = Clock()
    broker = MemoryBroker(clock)
    broker.create_topic("t", 1, TopicSettings(cleanup="compact", compaction_lag_ms=10_000))
    for key in (b"a", b"a", b"b"):
        broker.append(outgoing("t", key))
    clock.now += 6
    broker.append(outgoing("t", b"b"))
    broker.clean()
    assert [r.offset for r in broker.records("t")] == [0, 1, 2, 3]
    clock.now += 6
    broker.clean()
    assert [r.offset for r in broker.records("t")] == [1, 2, 3]
    clock.now += 6
    broker.clean()
    assert [r.offset for r in broker.records("t")] == [1, 3]


def test_an_archive_keeps_what_is_deleted_for_whoever_looks_at_it_all() -> None:
    broker = MemoryBroker(Clock())
    broker.archive = True
    broker.create_topic("t", 1, TopicSettings(cleanup="compact"))
    for key in (b"a", b"b", b"a", b"c"):
        broker.append(outgoing("t", key))
    broker.clean()
    broker.truncate("t", 0, 2)
    assert [record.offset for record in broker.records("t")] == [0, 1, 2, 3]
    assert broker.partition("t", 0).take(2, 4, 10)[0] == list(broker.records("t"))[2:]
    assert broker.partition("t", 0).bounds == (2, 4)


async def test_a_range_with_holes_is_read_to_its_end() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1, TopicSettings(cleanup="compact"))
    for key in (b"a", b"b", b"a", b"b", b"b"):
        broker.append(outgoing("t", key))
    broker.clean()
    log = MemoryLog(broker, "p")
    assert [[r.offset for r in batch] async for batch in log.read("t", 0, 0, 5)] == [[2, 4]]
    assert [batch async for batch in log.read("t", 0, 0, 2)] == []


def test_retention_deletes_by_broker_time_and_only_where_set() -> None:
    clock = Clock()
    broker = MemoryBroker(clock)
    broker.create_topic("t", 1, TopicSettings(retention_ms=10_000))
    broker.create_topic("journal", 1)
    for _ in range(3):
        broker.append(outgoing("t"))
        broker.append(outgoing("journal"))
        clock.now += 6
    broker.clean()
    assert broker.partition("t", 0).bounds == (2, 3)
    assert broker.partition("journal", 0).bounds == (0, 3)


def test_topics_are_never_made_or_changed_by_themselves() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 3)
    broker.create_topic("t", 3)
    with pytest.raises(ValueError, match="3 partitions, not 4"):
        broker.create_topic("t", 4)
    with pytest.raises(UnknownTopic):
        broker.partition("t", 3)
    with pytest.raises(AppendFailed):
        broker.append(outgoing("nowhere"))
    with pytest.raises(ValueError, match="ends at 0"):
        broker.truncate("t", 0, 1)
    assert broker.partitions("nowhere") == 0
    assert broker.topics() == ("t",)


async def test_asking_for_what_is_not_there_is_an_error_at_once() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    log = MemoryLog(broker, "p")
    with pytest.raises(UnknownTopic):
        await log.bounds("nowhere", 0)
    with pytest.raises(ValueError, match="ends at 0"):
        [batch async for batch in log.read("t", 0, 0, 1)]


# ---- appends


def test_an_unanswered_append_is_unknown_and_lands_all_the_same(bench: Bench) -> None:
    log, told = MemoryLog(bench.broker, bench.host("p"), append_timeout=5.0), Told()
    bench.network.lost = ["ack"]
    log.append(outgoing("in"), told.append)
    bench.settle(4.0)
    assert told == []
    bench.settle(2.0)
    assert isinstance(told[0], AppendUnknown)
    assert len(told) == 1
    assert len(bench.broker.records("in")) == 1


def test_an_append_may_land_after_its_outcome_was_unknown(bench: Bench) -> None:
    log, told = MemoryLog(bench.broker, bench.host("p"), append_timeout=5.0), Told()
    bench.network.held = ["append"]
    log.append(outgoing("in"), told.append)
    bench.settle(6.0)
    assert isinstance(told[0], AppendUnknown)
    assert bench.broker.records("in") == []
    for host, arrive in bench.network.stuck:
        host.call(arrive)
    bench.settle()
    assert len(bench.broker.records("in")) == 1
    assert len(told) == 1


def test_outcomes_come_in_call_order(bench: Bench) -> None:
    log = MemoryLog(bench.broker, bench.host("p"), append_timeout=5.0)
    told: list[object] = []
    bench.network.lost = ["ack"]
    log.append(outgoing("in"), told.append)
    bench.settle()
    bench.network.lost = []
    log.append(outgoing("in"), told.append)
    bench.settle(1.0)
    assert told == []
    bench.settle(5.0)
    assert isinstance(told[0], AppendUnknown)
    assert isinstance(told[1], Appended)


def test_a_question_without_an_answer_ends(bench: Bench) -> None:
    log = MemoryLog(bench.broker, bench.host("p"), timeout=7.0)
    bench.network.lost = ["ask"]
    task = bench.loop.create_task(log.bounds("in", 0))
    bench.settle(8.0)
    assert isinstance(task.exception(), BrokerUnavailable)


def test_a_killed_process_appends_nothing_and_hears_nothing(bench: Bench) -> None:
    host = bench.host("p")
    log, told = MemoryLog(bench.broker, host), Told()
    log.append(outgoing("in"), told.append)
    bench.settle()
    log.append(outgoing("in"), told.append)
    host.kill()
    log.append(outgoing("in"), told.append)
    bench.settle(60.0)
    assert len(told) == 1
    assert len(bench.broker.records("in")) == 1


def test_a_paused_process_hears_it_later(bench: Bench) -> None:
    host = bench.host("p")
    log, told = MemoryLog(bench.broker, host), Told()
    log.append(outgoing("in"), told.append)
    host.pause()
    bench.settle()
    assert told == []
    host.resume()
    bench.settle()
    assert len(told) == 1


# ---- membership


def test_a_silent_member_is_fenced_after_one_session_and_hears_that_it_lost(bench: Bench) -> None:
    first, one = bench.member("a")
    bench.settle(1.0)
    assert sorted(one.position) == [0, 1]
    first.host.pause()
    _, two = bench.member("b")
    bench.settle(5.0)
    assert two.position == {}
    assert first.alive() is False or bench.now < 7.0
    bench.settle(2.5)
    assert sorted(two.position) == [0, 1]
    assert not first.alive()
    assert one.heard == ["assigned 0", "assigned 1"]
    first.host.resume()
    bench.settle(3.0)
    assert one.heard[2:4] == ["lost 0", "lost 1"]
    assert first.alive()
    assert sorted([*one.position, *two.position]) == [0, 1]


def test_a_zombies_commit_is_refused_until_it_has_joined_again(bench: Bench) -> None:
    first, _ = bench.member("a")
    group = bench.broker.group("g", "in")
    group.remove("a", "expelled")
    assert first.alive()
    assert bench.commit(first, Committed(0, "zombie")) is False
    assert group.committed == {}


def test_a_commit_with_an_old_epoch_is_refused(bench: Bench) -> None:
    first, _ = bench.member("a")
    group = bench.broker.group("g", "in")
    bench.network.held = ["commit"]
    task = bench.loop.create_task(first.commit(0, Committed(1, "late")))
    bench.settle()
    bench.network.held = []
    bench.member("b")
    bench.settle(2.0)
    for host, arrive in bench.network.stuck:
        host.call(arrive)
    bench.settle()
    assert task.result() is False
    assert Committed(1, "late") not in group.committed.values()


def test_a_member_that_joined_again_may_commit_over_the_new_owner(bench: Bench) -> None:
    """Rule 6: the broker does not ask who owns the partition; members must not send such a commit."""
    bench.member("a")
    bench.member("b")
    bench.settle(2.0)
    group = bench.broker.group("g", "in")
    foreign = next(partition for partition, holder in group.holders.items() if holder == "b")
    assert group.commit("a", group.epoch, "in", foreign, Committed(9, "over it"))
    assert group.committed["in", foreign] == Committed(9, "over it")


def test_an_unanswered_commit_counts_as_refused_and_alive_ends(bench: Bench) -> None:
    first, _ = bench.member("a")
    bench.network.lost = ["commit", "group"]
    assert bench.commit(first, Committed(0, "landed")) is False
    assert bench.broker.group("g", "in").committed["in", 0] == Committed(0, "landed")
    assert not first.alive()


def test_a_lost_heartbeat_answer_changes_nothing(bench: Bench) -> None:
    first, one = bench.member("a")
    bench.network.lost = ["group", "poke"]
    bench.settle(1.5)
    bench.network.lost = []
    bench.settle(5.0)
    assert one.heard == ["assigned 0", "assigned 1"]
    assert first.alive()


def test_an_answer_that_was_overtaken_grants_nothing(bench: Bench) -> None:
    bench.network.late = ["group"]
    first, one = bench.member("a")  # the broker has granted it both partitions, but the answer is on its way
    bench.network.late, bench.network.lost = [], ["group", "poke"]
    bench.settle(2.5)  # asked again: that answer is lost
    (late,) = bench.network.stuck
    late[0].call(late[1])
    bench.settle()
    assert not first.assignment
    bench.network.lost = []
    bench.settle(3.0)
    assert first.assignment == (0, 1)
    assert one.heard == ["assigned 0", "assigned 1"]


def test_a_partition_moves_without_waiting_for_a_heartbeat(bench: Bench) -> None:
    _, one = bench.member("a")
    _, two = bench.member("b")
    assert bench.now == 0.0
    assert len(one.position) == len(two.position) == 1
    assert one.heard == ["assigned 0", "assigned 1", "revoked 1"]


def test_a_group_without_members_may_forget(bench: Bench) -> None:
    first, _ = bench.member("a")
    assert bench.commit(first, Committed(0, "x"))
    bench.broker.forget_commits("g", "in")
    assert bench.broker.group("g", "in").committed == {}


def test_a_reader_behind_the_start_of_the_log_stops_loudly(bench: Bench) -> None:
    for _ in range(3):
        bench.broker.append(outgoing("in"))
    first, one = bench.member("a")
    first.flow("in", 0, on=False)
    bench.settle()
    for _ in range(3):
        bench.broker.append(outgoing("in"))
    bench.broker.truncate("in", 0, 5)
    first.flow("in", 0, on=True)
    bench.settle()
    assert isinstance(bench.loop.exceptions[0]["exception"], DataLost)
    assert one.position[0] == 3


async def test_it_runs_on_an_ordinary_loop_too() -> None:
    broker = MemoryBroker()
    broker.create_topic("in", 2)
    log = MemoryLog(broker, "p")
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    log.append(outgoing("in"), told.set_result)
    assert isinstance(await told, Appended)


# -- transactions -----------------------------------------------------------------------------------------------------


async def test_records_that_wait_go_in_one_transaction() -> None:
    """As on Kafka: the first one goes alone, and what comes meanwhile goes together; each end has an offset."""
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    log = MemoryLog(broker, "me")
    writer = await log.transactions("t", 0)
    told, enough = Told(), asyncio.Event()

    def done(outcome: Appended | AppendFailed) -> None:
        told.append(outcome)
        if len(told) == 4:
            enough.set()

    for number in range(4):
        writer.append(outgoing("t", value=str(number).encode()), done)
    async with asyncio.timeout(30):
        await enough.wait()
    assert [outcome.offset for outcome in told if isinstance(outcome, Appended)] == [0, 2, 3, 4]
    assert broker.partition("t", 0).end == 6


async def test_whoever_dies_in_a_transaction_leaves_a_hole() -> None:
    """Its records are there and never read: the next writer's come behind them, and behind their end."""
    network = Deaf()
    broker = MemoryBroker(network=network)
    broker.create_topic("t", 1)
    log = MemoryLog(broker, "me")
    writer = await log.transactions("t", 0)
    network.held.append("append")
    writer.append(outgoing("t"), lambda _outcome: None)
    begins, _ends = network.stuck
    begins[1]()
    assert (broker.records("t"), broker.partition("t", 0).end) == ([], 0)
    await MemoryLog(broker, "other").transactions("t", 0)
    assert (broker.records("t"), broker.partition("t", 0).end) == ([], 2)


async def test_a_transaction_whose_records_got_lost_ends_its_writer() -> None:
    network = Deaf()
    broker = MemoryBroker(network=network)
    broker.create_topic("t", 1)
    log = MemoryLog(broker, "me", append_timeout=0.01)
    writer = await log.transactions("t", 0)
    network.held.append("append")
    told: asyncio.Future[Appended | AppendFailed] = asyncio.get_running_loop().create_future()
    writer.append(outgoing("t"), told.set_result)
    async with asyncio.timeout(30):
        assert isinstance(await told, Fenced)
    for _, arrive in network.stuck[1:]:
        arrive()
    assert broker.records("t") == []
    again: asyncio.Future[Appended | AppendFailed] = asyncio.get_running_loop().create_future()
    writer.append(outgoing("t"), again.set_result)
    async with asyncio.timeout(30):
        assert isinstance(await again, Fenced)
