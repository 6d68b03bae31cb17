"""Commits are sent and not waited for: one at a time a partition, and an answer counts for its own membership."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from aiosv3.streams.kafka import commits as module
from aiosv3.streams.kafka.commits import Commits
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.log import Committed

REFUSED = KafkaError(KafkaError.ILLEGAL_GENERATION)
PASSING = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)


class Desk:
    """Takes commits as a consumer does, and answers when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lease = Lease(6.0, lambda: self.now)
        self.commits = Commits("tasks", self.lease)
        self.commits.use(self)  # type: ignore[arg-type]
        self.sent: list[TopicPartition] = []
        self.raises: list[KafkaError] = []
        self.answers: list[tuple[str, bool]] = []

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous, "librdkafka's own wait has no end"
        if self.raises:
            raise KafkaException(self.raises.pop(0))
        self.sent += offsets

    def send(self, offset: int, partition: int = 0, *, last: bool = False) -> None:
        def answered(taken: bool) -> None:
            self.answers.append((f"{partition}@{offset}", taken))

        send = self.commits.send_last if last else self.commits.send
        send(partition, Committed(offset, ""), answered)

    def answer(self, error: KafkaError | None = None) -> None:
        """To the oldest that was sent."""
        self.commits.on_commit(error, [self.sent.pop(0)])

    def offsets(self) -> list[int]:
        return [place.offset for place in self.sent]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_answer_proves_the_membership_as_of_the_sending(desk: Desk) -> None:
    desk.send(7)
    desk.now += 5.0
    assert desk.answers == []
    assert not desk.lease.held()
    desk.answer()
    assert desk.answers == [("0@7", True)]
    assert desk.lease.held()
    desk.now += 1.0
    assert not desk.lease.held()


def test_a_refusal_proves_nothing(desk: Desk) -> None:
    desk.send(7)
    desk.answer(REFUSED)
    assert desk.answers == [("0@7", False)]
    assert not desk.lease.held()


def test_behind_one_that_is_under_way_only_the_newest_waits(desk: Desk) -> None:
    for offset in (1, 2, 3):
        desk.send(offset)
    assert desk.offsets() == [1]
    assert desk.answers == [("0@2", False)]
    desk.answer()
    assert desk.offsets() == [3]
    desk.answer()
    assert desk.answers[1:] == [("0@1", True), ("0@3", True)]
    assert not desk.commits.under_way()


def test_the_last_one_does_not_wait_and_none_comes_behind_it(desk: Desk) -> None:
    """One that is sent when the partition is given back already may land on a commit of its next owner."""
    for offset in (1, 2):
        desk.send(offset)
    desk.send(3, last=True)
    assert desk.offsets() == [1, 3]
    assert desk.answers == [("0@2", False)]
    desk.answer()
    assert desk.offsets() == [3]
    desk.answer()
    assert desk.answers[1:] == [("0@1", True), ("0@3", True)]


def test_what_waits_is_not_sent_when_the_partition_goes(desk: Desk) -> None:
    desk.send(1)
    desk.send(2)
    desk.commits.drop_waiting(0)
    desk.commits.drop_waiting(0)
    desk.answer()
    assert desk.sent == []
    assert desk.answers == [("0@2", False), ("0@1", True)]


def test_partitions_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.send(1)
    desk.send(1, partition=1)
    assert len(desk.sent) == 2
    desk.commits.on_commit(None, [desk.sent[1]])
    assert desk.answers == [("1@1", True)]
    assert desk.commits.under_way()


def test_an_answer_for_a_membership_that_is_lost_proves_nothing_for_the_next(desk: Desk) -> None:
    desk.send(7)
    desk.send(8)
    desk.lease.drop()
    desk.commits.give_up()
    assert desk.answers == [("0@7", False), ("0@8", False)]
    desk.now += 1.0
    desk.send(7)
    assert desk.offsets() == [7, 7]
    desk.answer()
    assert not desk.lease.held()
    assert len(desk.answers) == 2
    desk.answer()
    assert desk.lease.held()
    assert desk.answers[2:] == [("0@7", True)]


def test_one_without_an_answer_is_overdue_also_when_it_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is answered librdkafka gives no partition back, so others that are answered do not make up for it."""
    desk.send(7)
    desk.send(7, partition=1)
    assert not desk.commits.overdue()
    monkeypatch.setattr(module, "_OVERDUE_S", 0.0)
    desk.answer()
    assert desk.commits.overdue()
    desk.commits.give_up()
    assert not desk.commits.under_way()
    assert desk.commits.overdue()
    desk.answer()
    assert not desk.commits.overdue()


def test_an_error_of_the_whole_answer_counts(desk: Desk) -> None:
    desk.send(7)
    assert desk.sent[0].error is None
    desk.answer(KafkaError(KafkaError._TRANSPORT))
    assert desk.answers == [("0@7", False)]


def test_what_passes_is_tried_again_where_that_is_wanted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    desk.raises = [PASSING]
    desk.send(7, last=True)
    desk.answer(PASSING)
    desk.answer()
    assert desk.answers == [("0@7", True)]
    desk.send(8, last=True)
    for _ in range(3):
        desk.answer(PASSING)
    desk.send(9)
    desk.answer(PASSING)
    assert desk.answers[1:] == [("0@8", False), ("0@9", False)]
    assert desk.sent == []


def test_a_commit_that_cannot_be_sent_is_answered(desk: Desk) -> None:
    desk.raises = [REFUSED]
    desk.send(7)
    assert desk.answers == [("0@7", False)]
    assert not desk.commits.under_way()
