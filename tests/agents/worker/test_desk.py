"""People's answers on ``approvals``: which are accepted, once, through crashes of the desk (docs/adr/0013)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Denied, StepTimeout
from aiosv3.agents.worker.desk import DeskSetup, DeskTenure
from aiosv3.agents.worker.questions import Entry, QuestionTable, answer_outgoing, entry_in
from aiosv3.schemas.headers import CE_AUTHID
from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.log import Committed, Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Phase, Wiring
from aiosv3.streams.testing import Host, MemoryLog, MemoryMember, TopicSettings

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

    from aiosv3.streams.commit import Commit

ROLES = {"ann": ("finance",), "bob": ("finance", "legal"), "cyd": ("legal",)}


class Desk:
    """A process that runs the desk, and people who answer."""

    def __init__(self, stage: Stage, name: str = "desk", roles: Any = None) -> None:
        self.stage = stage
        topic = stage.topics.approvals()
        self.host = Host(name, stage.loop)
        log = MemoryLog(stage.broker, self.host)
        member = MemoryMember(stage.broker, log, "desk", topic, None)
        metrics = MetricsCatalogue().processor(name)
        self.wiring = Wiring(name, topic, topic, None, log, member, stage.clock_ms, metrics)
        setup = DeskSetup(stage.codec, stage.store, stage.topics, ROLES if roles is None else roles)

        def opened(partition: int, committed: Committed | None, start: Commit) -> DeskTenure:
            return DeskTenure(self.wiring, partition, committed, start, setup=setup)

        self.processor = Processor(self.wiring, opened, commit_every=1.0)

    def start(self) -> Desk:
        self.stage.finish(self.processor.start())
        self.stage.run(lambda: 0 in self.processor.tenures and self.processor.tenures[0].phase is Phase.RUNNING)
        self.stage.settle()
        return self

    def kill(self) -> None:
        self.host.kill()
        self.stage.broker.group("desk", self.wiring.input_topic).remove(self.host.name, "killed")


class Room:
    """The stage with ``approvals``, what is on it, and an agent that asks."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.broker.create_topic(stage.topics.approvals(), 1, TopicSettings(cleanup="compact"))

    def entries(self) -> list[Entry]:
        records = self.stage.broker.records(self.stage.topics.approvals(), 0)
        return [entry_in(self.stage.codec, record.value or b"") for record in records]

    def question(self) -> Question:
        self.stage.run(lambda: any(isinstance(entry, Question) for entry in self.entries()))
        return [entry for entry in self.entries() if isinstance(entry, Question)][-1]

    def verdicts(self, count: int = 0) -> list[AnswerVerdict]:
        """The verdicts, once there are ``count`` of them."""

        def found() -> list[AnswerVerdict]:
            return [entry for entry in self.entries() if isinstance(entry, AnswerVerdict)]

        self.stage.run(lambda: len(found()) >= count)
        return found()

    def put(self, question: Question) -> None:
        """A question that the agent did not send."""
        key = question.request_id.encode()
        record = Outgoing(self.stage.topics.approvals(), 0, key, self.stage.codec.encode(question), [])
        self.stage.broker.append(record)

    def say(self, question: Question, who: str = "ann", answer_id: str = "a1", **said: Any) -> PersonAnswer:
        said.setdefault("approved", True)
        token = said.pop("token", question.reply.token)
        answer = PersonAnswer(question.request_id, answer_id, who, self.stage.clock_ms(), token, **said)
        self.stage.broker.append(answer_outgoing(self.stage.codec, self.stage.topics, 0, answer, b"test"))
        return answer

    def answers(self) -> list[JournalRecord]:
        return [record for record in self.stage.journal() if record.kind is JournalKind.ANSWER]

    def refused(self) -> str:
        (verdict,) = self.verdicts(1)
        assert not verdict.accepted
        assert self.answers() == []
        (letter,) = self.stage.dead()
        assert (verdict.reason or "?") in (letter.header("kafka_dlt-exception-message") or b"").decode()
        return verdict.reason or ""


@pytest.fixture
def room(stage: Stage) -> Room:
    return Room(stage)


async def asks(ctx: Context, _value: str) -> str:
    try:
        approval = await ctx.approve("Refund 120 USD?", by="finance", timeout=timedelta(minutes=5))
    except Denied as error:
        return f"denied by {error.who}: {error.comment}"
    except StepTimeout as error:
        return f"nobody: {error.step}"
    return f"{approval.who} at {approval.when:%H:%M:%S}: {approval.comment}"


async def asks_for_a_number(ctx: Context, _value: str) -> str:
    return str(await ctx.ask("How much?", int, by="finance"))


def begin(room: Room, program: Any = asks) -> Any:
    worker = room.stage.worker(program).start()
    room.stage.task("t", headers=[(CE_AUTHID, b"zoe")])
    return worker


def result(room: Room, worker: Any) -> str:
    room.stage.run(lambda: len(room.stage.results(worker)) == 1)
    return str(room.stage.results(worker)[0].content)


def test_a_yes_reaches_the_agent_with_who_when_and_comment(room: Room) -> None:
    worker, _ = begin(room), Desk(room.stage).start()
    question = room.question()
    assert (question.content, question.role, question.asker, question.agent) == (
        "Refund 120 USD?",
        "finance",
        "zoe",
        "worker",
    )
    room.stage.advance(61)
    room.say(question, comment="fine")
    assert result(room, worker).startswith("ann at ")
    assert result(room, worker).endswith(": fine")
    (verdict,) = room.verdicts(1)
    assert (verdict.accepted, verdict.who, verdict.answer_id, verdict.reason) == (True, "ann", "a1", None)
    assert room.stage.dead() == []


def test_a_no_is_denied_and_says_who_and_why(room: Room) -> None:
    worker, _ = begin(room), Desk(room.stage).start()
    room.say(room.question(), approved=False, comment="too much")
    assert result(room, worker) == "denied by ann: too much"


def test_a_value_comes_back_typed(room: Room) -> None:
    worker, _ = begin(room, asks_for_a_number), Desk(room.stage).start()
    question = room.question()
    assert json.loads(question.output_schema or "") == {"type": "integer"}
    room.say(question, approved=None, content="42")
    assert result(room, worker) == "42"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"token": "guessed"}, "token"),
        ({"who": "zoe"}, "no person 'zoe'"),
        ({"who": "cyd"}, "does not have the role 'finance'"),
        ({"who": " "}, "does not say who"),
        ({"approved": None, "content": "1"}, "a yes or a no"),
    ],
)
def test_what_is_not_accepted_is_a_dead_letter_with_the_reason(room: Room, said: dict[str, Any], words: str) -> None:
    begin(room)
    Desk(room.stage).start()
    room.say(room.question(), **said)
    assert words in room.refused()


@pytest.mark.parametrize("content", ['"many"', "{", None, b"sealed"])
def test_a_value_that_does_not_fit_is_refused_by_the_desk_and_the_question_stays_open(room: Room, content: Any) -> None:
    worker, _ = begin(room, asks_for_a_number), Desk(room.stage).start()
    room.say(room.question(), approved=None, content=content)
    assert room.refused()
    room.say(room.question(), "bob", "a2", approved=None, content="7")
    assert result(room, worker) == "7"


@pytest.mark.parametrize("roles", [{**ROLES, "zoe": ("finance",)}, {}])
def test_the_asker_cannot_approve_whatever_roles_it_has(room: Room, roles: Any) -> None:
    begin(room)
    Desk(room.stage, roles=roles).start()
    room.say(room.question(), "zoe")
    assert "who asks cannot approve" in room.refused()


def test_with_no_people_configured_anybody_named_answers_any_role(room: Room) -> None:
    worker, _ = begin(room), Desk(room.stage, roles={}).start()
    room.say(room.question(), "somebody")
    assert result(room, worker).startswith("somebody at ")


def test_the_first_acceptable_answer_counts(room: Room) -> None:
    worker = begin(room)
    question = room.question()
    room.say(question, "cyd", "a0")
    room.say(question, "ann", "a1", approved=False)
    room.say(question, "bob", "a2", approved=True)
    Desk(room.stage).start()
    assert result(room, worker) == "denied by ann: "
    assert {v.answer_id: (v.accepted, v.reason) for v in room.verdicts(3)} == {
        "a0": (False, "cyd does not have the role 'finance' that may answer"),
        "a1": (True, None),
        "a2": (False, "somebody answered before"),
    }
    assert len(room.answers()) == 1


# -- expiry: the journal decides for the agent, the broker's clock for the desk ------------------------------------


def test_a_timer_of_the_step_ends_the_waiting(room: Room) -> None:
    worker = begin(room)
    assert room.question().expires_at is not None
    room.stage.advance(300)
    assert result(room, worker) == "nobody: 1"


def test_an_answer_after_the_expiry_is_refused_by_broker_time_also_when_it_is_read_later(room: Room) -> None:
    begin(room)
    question = room.question()
    assert question.expires_at is not None
    room.stage.advance((question.expires_at - room.stage.clock_ms()) / 1000)
    room.say(question)
    Desk(room.stage).start()
    assert "expired at" in room.refused()


def test_an_answer_before_the_expiry_is_accepted_however_late_the_desk_is(room: Room) -> None:
    begin(room)
    question = room.question()
    room.say(question)
    room.stage.advance(600)
    Desk(room.stage).start()
    assert room.verdicts(1)[0].accepted


# -- crashes ----------------------------------------------------------------------------------------------------------


def test_a_desk_that_died_before_it_closed_the_question_gives_the_answer_again_and_it_counts_once(room: Room) -> None:
    worker, desk = begin(room), Desk(room.stage).start()
    question = room.question()
    closing = room.stage.wire.hold("append", room.stage.topics.approvals())
    room.say(question)
    room.stage.run(lambda: len(room.answers()) == 1 and bool(closing.messages))
    desk.kill()
    room.stage.wire.holding.remove(closing)
    Desk(room.stage, "other").start()
    assert [verdict.accepted for verdict in room.verdicts(1)] == [True]
    assert len(room.answers()) == 2
    assert result(room, worker).startswith("ann at ")
    assert room.stage.dead() == []


def test_a_new_desk_reads_the_table_first_and_knows_what_is_closed(room: Room) -> None:
    worker, desk = begin(room), Desk(room.stage).start()
    question = room.question()
    room.say(question)
    result(room, worker)
    room.stage.advance(5)
    desk.kill()
    room.say(question, "bob", "a2", approved=False)
    Desk(room.stage, "other").start()
    assert (room.verdicts(2)[1].accepted, room.verdicts()[1].reason) == (False, "somebody answered before")
    assert len(room.answers()) == 1


@pytest.mark.parametrize("garbage", [b"noise", b"\0\x3b\x9a\xca\0of a schema that nobody has"])
def test_what_nobody_can_read_holds_up_no_desk(room: Room, garbage: bytes) -> None:
    room.stage.broker.append(Outgoing(room.stage.topics.approvals(), 0, b"k", garbage, []))
    desk = Desk(room.stage).start()
    room.stage.advance(5)
    assert desk.processor.tenures[0].idle()
    assert len(room.stage.dead()) == 1


def test_an_accepted_answer_that_is_read_again_is_neither_given_nor_refused_again(room: Room) -> None:
    """The commit that would have said so is lost: the closing record says it."""
    begin(room)
    desk = Desk(room.stage).start()
    room.say(room.question())
    assert room.verdicts(1)
    desk.kill()
    room.stage.broker.group("desk", room.stage.topics.approvals()).committed.clear()
    Desk(room.stage, "other").start()
    room.stage.advance(5)
    assert (len(room.verdicts()), len(room.answers()), room.stage.dead()) == (1, 1, [])


def test_a_question_that_is_sent_again_stays_closed_and_its_answer_lies_in_its_partition(room: Room) -> None:
    worker = begin(room)
    Desk(room.stage).start()
    question = room.question()
    room.say(question)
    assert result(room, worker).startswith("ann at ")
    assert room.verdicts(1)
    table = QuestionTable()
    for entry in (*room.entries(), question):
        table.learn(entry)
    assert (table.open, table.closed) == ({}, {"t/1": "a1"})


def test_compaction_that_moves_the_question_behind_its_answer_loses_nothing(room: Room) -> None:
    """The question was sent again by a new owner, and the log kept its last copy only."""
    worker = begin(room)
    question = room.question()
    room.say(question)
    worker.kill()
    other = room.stage.worker(asks, "b").start()
    room.stage.run(lambda: sum(isinstance(entry, Question) for entry in room.entries()) == 2)
    room.stage.broker.clean()
    assert [type(entry) for entry in room.entries()] == [PersonAnswer, Question]
    Desk(room.stage).start()
    assert result(room, other).startswith("ann at ")


# -- what nobody should send ------------------------------------------------------------------------------------------


def test_an_answer_without_its_question_is_refused(room: Room) -> None:
    begin(room)
    Desk(room.stage).start()
    room.say(replace(room.question(), request_id="t/9"))
    assert room.refused() == "there is no such question"


def test_a_forged_question_does_not_write_to_somebody_elses_journal(room: Room) -> None:
    begin(room)
    Desk(room.stage).start()
    real = room.question()
    forged = replace(real, request_id="f/1", reply=replace(real.reply, topic=room.stage.topics.results("worker")))
    room.put(forged)
    room.say(forged)
    assert "not its agent's journal" in room.refused()


@pytest.mark.parametrize("schema", ['{"type": 3}', '{"$ref": "http://localhost:1/x"}', '{"pattern": "("}', "{"])
def test_a_schema_that_cannot_be_used_refuses_and_the_desk_goes_on(room: Room, schema: str) -> None:
    worker, desk = begin(room, asks_for_a_number), Desk(room.stage).start()
    question = room.question()
    broken = replace(question, request_id="t/b", output_schema=schema)
    room.put(broken)
    room.say(broken, approved=None, content='"x"')
    assert room.refused()
    room.say(question, "bob", "a2", approved=None, content="7")
    assert result(room, worker) == "7"
    assert desk.processor.tenures[0].phase is Phase.RUNNING


def test_poison_on_approvals_is_a_dead_letter(room: Room) -> None:
    Desk(room.stage).start()
    room.stage.broker.append(Outgoing(room.stage.topics.approvals(), 0, b"k", b"{}", []))
    room.stage.run(lambda: len(room.stage.dead()) == 1)


def test_an_answer_that_the_journal_does_not_take_leaves_the_question_open(room: Room) -> None:
    worker, _ = begin(room, asks_for_a_number), Desk(room.stage).start()
    question = room.question()
    room.stage.limit_bytes(room.stage.topics.journal("worker"), 400)
    room.say(question, approved=None, content=f"{'1' * 500}")
    assert "journal does not take it" in room.refused()
    room.stage.limit_bytes(room.stage.topics.journal("worker"), 1_000_000)
    room.say(question, "bob", "a2", approved=None, content="7")
    assert result(room, worker) == "7"


def test_outcomes_of_the_question_are_answers_like_any_other(room: Room) -> None:
    begin(room)
    Desk(room.stage).start()
    room.say(room.question())
    room.stage.run(lambda: len(room.answers()) == 1)
    (answer,) = room.answers()
    assert (answer.step_id, answer.outcome, answer.token) == ("1", Outcome.OK, room.question().reply.token)
