"""A membership and its ownerships: where they begin, what is committed for them, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Committed, Start
from aiosv3.streams.tenure import Phase

if TYPE_CHECKING:
    from tests.streams.conftest import Stage, Worker

NewStage: TypeAlias = "Callable[..., Stage]"
GROUP, TASKS = "workers", "tasks"


class Spy:
    """Stands before a member's ``commit``: the partitions that it was asked for."""

    def __init__(self, worker: Worker) -> None:
        self._commit = worker.member.commit
        self.asked: list[int] = []
        worker.member.commit = self  # type: ignore[method-assign]

    async def __call__(self, partition: int, committed: Committed) -> bool:
        self.asked.append(partition)
        return await self._commit(partition, committed)


def by(stage: Stage, who: str, what: str = "commit") -> list[str]:
    """The commits of one worker that reached the broker."""
    return [details for name, event, details in stage.seen if name == who and event == what]


def gated(worker: Worker) -> Worker:
    worker.effector.on_work = worker.effector.gated
    return worker


def contest(stage: Stage, worker: Worker, name: str = "contested") -> None:
    """Puts a foreign marker in front of the worker's next answer."""
    stage.foreign_marker()
    work, worker.effector.on_work = (
        worker.effector.on_work,
        lambda request, epoch: worker.effector.answer(request),
    )
    stage.request(name)
    tenure = worker.tenure
    stage.run(lambda: tenure.phase is Phase.STOPPED)
    worker.effector.on_work = work


# -- rules 11 and 12: where to begin ----------------------------------------------------------------------------------


def test_rule_12_without_a_commit_everything_is_read_from_its_start(stage: Stage) -> None:
    for number in range(3):
        stage.own_record(f"old{number}", number, b"older than retention")
    stage.advance(120)
    for number in range(4):
        stage.request(f"r{number}")
    stage.own_record("r2", 2, b"theirs")
    stage.broker.truncate("tasks", 0, 1)
    stage.broker.truncate("answers", 0, 2)
    worker = stage.worker("a").start()
    assert worker.tenure.start == Commit(base=1, own=0)
    assert worker.tenure.own.floor == 2
    stage.run(lambda: len(stage.replies()) == 3)
    assert worker.calls == ["r1", "r3"]
    assert b"theirs" in stage.replies()


def test_rule_12_a_group_that_lost_its_offsets_repeats_no_answered_call(stage: Stage) -> None:
    first = stage.worker("a").start()
    for name in "xyz":
        stage.request(name)
    stage.run(lambda: (commit := stage.committed()) is not None and commit.base == 3)
    first.host.kill()
    stage.broker.forget_commits(GROUP, TASKS)
    second = stage.worker("b").start()
    stage.run(lambda: (commit := stage.committed()) is not None and commit.base == 3)
    assert second.calls == []
    assert len(stage.replies()) == 6


def test_rule_12_without_a_commit_the_journal_is_read_from_its_start(stage: Stage) -> None:
    processor = stage.worker("a", journal=True).processor
    assert processor.starts(0, None, 4, 9) == Start(4, 9)


def test_offsets_that_an_operator_set_are_the_base_and_the_logs_are_read_from_their_start(stage: Stage) -> None:
    for number in range(4):
        stage.request(f"r{number}")
    stage.own_record("r3", 3, b"theirs")
    stage.commit(Committed(2, "reset by hand"))
    worker = stage.worker("a").start()
    assert worker.tenure.start == Commit(base=2, own=0)
    stage.run(lambda: len(stage.replies()) == 2)
    assert worker.calls == ["r2"]
    assert b"theirs" in stage.replies()


def test_a_commit_is_taken_up_where_it_stands(stage: Stage) -> None:
    commit = Commit(base=3, epoch=8, own=5, journal=7, completed=(5,))
    worker = stage.worker("a", journal=True)
    assert worker.processor.starts(0, commit.encode(), 0, 0) == Start(3, 7)
    plain = stage.worker("b")
    assert plain.processor.starts(0, commit.encode(), 3, 0) == Start(3, None)


def refused(stage: Stage) -> Worker:
    """A worker whose partition 0 is assigned and not owned."""
    worker = stage.worker("a")
    stage.finish(worker.processor.start())
    stage.run(lambda: 0 in worker.processor.refused)
    stage.advance(5)
    assert worker.calls == []
    assert worker.processor.tenures == {}
    assert stage.markers() == []
    return worker


def test_rule_11_a_base_below_the_log_start_is_refused_by_name(stage: Stage) -> None:
    for number in range(5):
        stage.request(f"r{number}")
    stage.commit(before := Commit(base=2, epoch=0, own=0))
    stage.broker.truncate("tasks", 0, 3)
    worker = refused(stage)
    assert "records were deleted before they were used" in worker.processor.refused[0]
    assert stage.committed() == before, "it does not jump"


def test_rule_11_a_journal_position_below_the_log_start_is_refused(stage: Stage) -> None:
    commit = Commit(base=2, epoch=0, own=0, journal=4).encode()
    agent, router = stage.worker("a", journal=True).processor, stage.worker("b").processor
    assert agent.starts(0, commit, 0, 4) == Start(2, 4)
    assert agent.starts(0, commit, 0, 5) is None
    assert router.starts(0, commit, 0, 5) == Start(2, None), "it has no journal"
    assert router.starts(0, commit, 2, 0) is not None
    assert router.starts(0, commit, 3, 0) is None


def test_rule_11_a_base_that_an_operator_set_below_the_log_start_is_refused(stage: Stage) -> None:
    stage.commit(Committed(2, ""))
    worker = stage.worker("a")
    assert worker.processor.starts(0, Committed(3, ""), 3, 0) == Start(3, None)
    assert worker.processor.starts(0, Committed(2, ""), 3, 0) is None


def test_a_commit_of_a_newer_worker_is_refused_in_words(stage: Stage) -> None:
    stage.request("x")
    stage.commit(Committed(0, "2|whatever"))
    worker = refused(stage)
    assert "layout 2" in worker.processor.refused[0]


def test_a_refused_partition_is_forgotten_when_it_goes(stage: Stage) -> None:
    stage.commit(Committed(0, "2|whatever"))
    worker = refused(stage)
    assert worker.processor.revoked(0) is None
    assert worker.processor.refused == {}
    worker.processor.assigned(0, None, Committed(0, "2|whatever"))
    worker.processor.lost(0)
    assert worker.processor.refused == {}


def test_a_partition_that_was_refused_may_be_owned_later(stage: Stage) -> None:
    stage.commit(Committed(0, "2|whatever"))
    worker = refused(stage)
    stage.commit(Commit(0))
    worker.member.restart(0)
    stage.run(lambda: worker.running)
    assert worker.processor.refused == {}


def test_records_of_a_partition_that_is_not_owned_are_ignored(stage: Stage) -> None:
    worker = stage.worker("a")
    stage.request("x")
    worker.processor.records(stage.broker.records("tasks"))
    assert worker.calls == []


def test_journal_and_input_go_to_the_same_ownership(stage: Stage) -> None:
    worker = stage.worker("a", journal=True).start()
    seen: list[str] = []
    worker.tenure.journaled = lambda record: seen.append(record.topic)  # type: ignore[method-assign]
    stage.foreign_marker("journal")
    stage.request("x")
    stage.run(lambda: stage.replies() == [b"x by a"])
    assert seen == ["journal"]
    assert worker.calls == ["x"]


# -- rules 6 and 7: commits -------------------------------------------------------------------------------------------


def test_rule_07_one_request_for_each_partition_that_has_something_to_say(new_stage: NewStage) -> None:
    stage = new_stage(partitions=3)
    worker = stage.worker("a").start()
    stage.run(lambda: len(worker.processor.tenures) == 3 and len(stage.commits()) == 3)
    stage.advance(5)
    assert len(stage.commits()) == 3, "nothing new, nothing sent"
    for _ in range(4):
        stage.request("x", partition=1)
    stage.advance(2.5)
    assert [words.split()[0] for words in stage.commits()[3:]] == ["workers/tasks[1]"]
    assert stage.committed(1) == Commit(base=4, epoch=0, own=2)
    assert worker.metric("commits_total") == 4
    assert worker.metric("records_open") == 0
    assert worker.metric("partitions_owned") == 3


def test_rule_07_an_older_commit_does_not_pass_for_what_came_after_it(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    answers = stage.wire.hold("commit", way="from")
    stage.request("x")
    stage.run(lambda: bool(answers.messages))
    said = stage.committed()
    stage.request("y")
    stage.settle()
    assert stage.committed() == said
    assert said is not None
    assert said.base == 1
    answers.release()
    stage.run(lambda: (commit := stage.committed()) is not None and commit.base == 2)
    assert worker.metric("records_completed_total") == 2


def test_a_refused_commit_is_counted_and_made_again(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    lost = stage.wire.hold("commit")
    stage.request("x")
    stage.run(lambda: worker.metric("commits_refused_total") == 1)
    lost.drop()
    stage.run(lambda: (commit := stage.committed()) is not None and commit.base == 1)


def test_a_commit_of_an_ownership_that_ended_says_nothing_about_the_next(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    answers = stage.wire.hold("commit", way="from")
    stage.request("x")
    stage.run(lambda: bool(answers.messages))
    worker.member.restart(0)
    stage.run(lambda: len(worker.opened) == 2 and worker.running)
    answers.release()
    stage.settle()
    assert worker.metric("commits_total") == 2, "the first one of each ownership"
    stage.run(lambda: (commit := stage.committed()) is not None and commit.epoch == worker.tenure.epoch)


def test_the_last_commit_is_made_when_a_partition_is_revoked(new_stage: NewStage) -> None:
    """And the next owner begins there: no call twice, none left out."""
    stage = new_stage(partitions=2)
    first = stage.worker("a", commit_every=1_000).start()
    stage.run(lambda: len(first.processor.tenures) == 2)
    for partition in (0, 1):
        for number in range(5):
            stage.request(f"p{partition}r{number}", partition=partition)
    stage.run(lambda: len(stage.replies()) == 10)
    second = stage.worker("b")
    stage.finish(second.processor.start())
    stage.run(lambda: len(first.processor.tenures) == len(second.processor.tenures) == 1)
    (moved,) = second.processor.tenures
    commit = stage.committed(moved)
    assert commit is not None
    assert commit.base == 5
    stage.request("next", partition=moved)
    stage.run(lambda: len(stage.replies()) == 11)
    assert second.calls == ["next"]
    assert first.metric("partitions_owned") == 1


@pytest.mark.parametrize("how", ["revoked", "lost"])
def test_rule_06_no_commit_is_asked_for_once_the_partition_is_gone(new_stage: NewStage, how: str) -> None:
    stage = new_stage(partitions=2)
    worker = stage.worker("a", commit_every=0.1).start()
    stage.run(lambda: len(worker.processor.tenures) == 2)
    stage.advance(1)
    spy = Spy(worker)
    stage.request("x")
    stage.settle()
    if how == "revoked":
        last = worker.processor.revoked(0)
        assert last is not None
        assert last.offset == 1
    else:
        worker.processor.lost(0)
    stage.request("y", partition=1)
    stage.advance(5)
    assert set(spy.asked) == {1}
    assert 0 not in worker.processor.tenures


def test_rule_06_a_commit_round_leaves_out_what_was_lost_while_it_ran(new_stage: NewStage) -> None:
    stage = new_stage(partitions=2)
    worker = stage.worker("a").start()
    stage.run(lambda: len(stage.commits()) == 2)
    for partition in (0, 1):
        stage.request("x", partition=partition)
    stage.settle()
    spy = Spy(worker)
    requests = stage.wire.hold("commit")
    stage.run(lambda: spy.asked == [0])
    worker.processor.lost(1)
    requests.release()
    stage.advance(5)
    assert 1 not in spy.asked


def test_rule_06_a_challenge_asks_no_more_once_the_partition_is_gone(stage: Stage) -> None:
    worker = stage.worker("a", commit_every=0.5).start()
    stage.advance(1)
    refusing = True
    spy = Spy(worker)
    ask = spy._commit

    async def commit(partition: int, committed: Committed) -> bool:
        return False if refusing else await ask(partition, committed)

    spy._commit = commit
    contest(stage, worker)
    stage.advance(2)
    asked = len(spy.asked)
    assert asked >= 3
    worker.processor.lost(0)
    refusing = False
    stage.advance(5)
    assert len(spy.asked) == asked
    assert len(worker.opened) == 1


def test_rule_06_a_zombie_commits_nothing_over_the_new_owner(stage: Stage) -> None:
    """Expelled, and it does not know: its answers stay its own, and its commits are refused."""
    zombie = gated(stage.worker("a", commit_every=0.5)).start()
    for name in "xy":
        stage.request(name)
    stage.advance(2)
    deaf = [stage.wire.hold(kind, way="from", host="a") for kind in ("group", "poke")]
    stage.expel(zombie)
    heir = stage.worker("b").start()
    stage.run(lambda: len(stage.replies()) == 2)
    stage.advance(2)
    said = stage.committed()
    zombie.effector.open("x")
    stage.advance(2)
    assert zombie.opened[0].reason == "contested"
    assert stage.replies() == [b"x by b", b"y by b"]
    assert stage.committed() == said
    assert said == Commit(base=2, epoch=heir.tenure.epoch, own=4)
    assert by(stage, "a", "commit refused")
    for held in deaf:
        held.release()


# -- rule 2: the challenge --------------------------------------------------------------------------------------------


def test_rule_02_a_won_challenge_takes_the_partition_again(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    stage.request("y")
    stage.advance(2)
    contest(stage, worker, "x")
    stage.run(lambda: len(worker.opened) == 2 and worker.running)
    assert worker.opened[0].reason == "contested"
    assert stage.markers() == [0, 1, 3], "mine, theirs, and mine again, above what came in between"
    assert worker.tenure.epoch == 3
    stage.settle()
    assert stage.replies() == [b"x by a"], "its answer was on the log: it is forwarded by the new ownership"
    worker.effector.open("y")
    stage.run(lambda: (commit := stage.committed()) is not None and commit.base == 2)
    assert worker.calls == ["y", "x", "y"]
    assert worker.metric("ownership_contested_total") == 1


def test_rule_02_a_challenge_that_is_not_answered_is_repeated_and_nothing_goes_on_meanwhile(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    lost = stage.wire.hold("commit")
    contest(stage, worker)
    stage.request("z")
    stage.advance(15)
    assert len(lost.messages) >= 2
    assert worker.calls == ["contested"]
    assert stage.replies() == []
    lost.drop()
    stage.run(lambda: len(stage.replies()) == 2)


def test_rule_02_who_no_longer_holds_the_partition_lets_go(new_stage: NewStage) -> None:
    """The commit is refused as long as it takes, and the partition goes to the one who has it."""
    stage = new_stage()
    worker = stage.worker("a").start()
    stage.advance(2)
    deaf = [stage.wire.hold(kind, way="from", host="a") for kind in ("group", "poke")]
    stage.expel(worker)
    contest(stage, worker)
    stage.advance(4)
    assert len(worker.opened) == 1
    for held in deaf:
        held.release()
    stage.run(lambda: len(worker.opened) == 2 and worker.running)
    assert worker.opened[0].reason == "contested"
    stage.settle()
    assert worker.metric("partitions_owned") == 1


def test_rule_02_a_contest_before_the_first_commit_states_what_was_found(stage: Stage) -> None:
    """Nothing was read yet, so nothing new may be said (rule 10): the old commit, word by word."""
    found = Commit(base=0, epoch=0, own=0, journal=0, completed=(3,))
    stage.commit(found)
    worker = stage.worker("a", journal=True)
    questions = stage.wire.hold("ack", "journal")
    stage.finish(worker.processor.start())
    stage.run(lambda: bool(worker.opened))
    stage.settle()
    stage.loop.call_soon(worker.tenure.contested)
    stage.settle()
    assert worker.opened[0].reason == "contested"
    assert stage.committed() == found
    questions.release()
    stage.run(lambda: len(worker.opened) == 2 and worker.running)


def test_rule_02_a_contest_without_any_commit_states_the_start(stage: Stage) -> None:
    for number in range(3):
        stage.request(f"r{number}")
    stage.broker.truncate("tasks", 0, 2)
    worker = stage.worker("a")
    acks = stage.wire.hold("ack", "answers")
    stage.finish(worker.processor.start())
    stage.run(lambda: bool(worker.opened))
    stage.settle()
    stage.loop.call_soon(worker.tenure.contested)
    stage.settle()
    assert stage.committed() == Commit(base=2, own=0)
    acks.release()
    stage.run(lambda: stage.replies() == [b"r2 by a"])


def test_rule_02_a_contest_is_answered_once(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    spy = Spy(worker)
    held = stage.wire.hold("commit")
    contest(stage, worker)
    worker.tenure.contested()
    worker.opened[0].contested()
    stage.settle()
    assert spy.asked == [0]
    assert worker.metric("ownership_contested_total") == 1
    held.release()


def test_rule_02_a_challenge_of_an_earlier_ownership_does_not_hide_a_contest(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    commits = stage.wire.hold("commit")
    contest(stage, worker)
    stage.expel(worker)
    stage.run(lambda: len(worker.opened) == 2 and worker.running, within=5)
    assert commits.messages, "the first challenge still waits for its answer"
    stage.run(lambda: stage.replies() == [b"contested by a"])
    stage.foreign_marker()
    stage.request("z")
    stage.advance(1)
    assert worker.tenure.phase is Phase.STOPPED
    assert stage.replies() == [b"contested by a"]


def test_rule_02_a_challenge_of_an_earlier_ownership_does_not_restart_the_next(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.advance(2)
    answers = stage.wire.hold("commit", way="from")
    contest(stage, worker)
    stage.settle()
    stage.expel(worker)
    stage.run(lambda: len(worker.opened) == 2 and worker.running, within=5)
    answers.release()
    stage.advance(1)
    assert len(worker.opened) == 2


# -- drain ------------------------------------------------------------------------------------------------------------


def test_drain_finishes_what_is_in_work_and_admits_no_more(stage: Stage) -> None:
    worker = gated(stage.worker("a", commit_every=1_000)).start()
    stage.request("x")
    stage.settle()
    draining = stage.loop.create_task(worker.processor.drain(30))
    stage.advance(1)
    stage.request("y")
    stage.advance(1)
    assert not draining.done()
    assert worker.calls == ["x"]
    begun = stage.now
    worker.effector.open("x")
    stage.run(draining.done)
    draining.result()
    assert stage.now - begun < 1, "it does not wait for the rest of the grace"
    assert stage.committed() == Commit(base=1, epoch=0, own=2)
    assert worker.processor.tenures == {}
    assert stage.broker.group(GROUP, TASKS).members == ()
    heir = stage.worker("b").start()
    stage.run(lambda: stage.replies() == [b"x by a", b"y by b"])
    assert heir.calls == ["y"]


def test_drain_gives_up_after_its_grace(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    stage.request("x")
    stage.settle()
    gate = worker.effector.gates["x"]
    begun = stage.now
    stage.finish(worker.processor.drain(3))
    assert 3 <= stage.now - begun < 4
    assert gate.cancelled()
    assert stage.committed() == Commit(base=0, epoch=0, own=1)


def test_a_processor_that_was_never_started_may_be_drained(stage: Stage) -> None:
    worker = stage.worker("a")
    stage.finish(worker.processor.drain(3))
    assert worker.processor.tenures == {}


def test_drain_admits_nothing_on_a_partition_that_comes_meanwhile(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    stage.request("x")
    stage.settle()
    draining = stage.loop.create_task(worker.processor.drain(30))
    stage.settle()
    worker.member.restart(0)
    stage.advance(1)
    assert worker.calls == ["x"]
    draining.cancel()
