"""``aiosv3 approvals …`` on a real broker with a real desk."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aiosv3.app.commands.approvals import check_form, shown
from aiosv3.app.people import Answered
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.people import Question, QuestionKind
from aiosv3.schemas.records import ReplyTo

QUESTION = Question(
    *("t/1", "t", "t", "1", "worker", "acme"),
    QuestionKind.APPROVE,
    "boss",
    "zoe",
    0,
    3_600_000,
    "hash",
    ReplyTo("j", 0, 0, "t", "1", "secret"),
    content="Send it?",
)
_ASK_S = 30.0
real = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]
Ask = Callable[[str], tuple[str, str]]


def test_a_question_is_shown_without_its_token() -> None:
    assert shown(QUESTION) == {
        "id": "t/1",
        "kind": "APPROVE",
        "role": "boss",
        "agent": "worker",
        "task": "t",
        "tenant": "acme",
        "asked_by": "zoe",
        "asked_at": "1970-01-01T00:00:00+00:00",
        "expires_at": "1970-01-01T01:00:00+00:00",
        "question": "Send it?",
        "schema": None,
    }


@pytest.mark.parametrize(
    ("kind", "answered", "words"),
    [
        (QuestionKind.APPROVE, Answered("ann"), "--approve or --deny"),
        (QuestionKind.APPROVE, Answered("ann", True, content="1"), "--approve or --deny"),
        (QuestionKind.ASK, Answered("ann", True), "--json"),
        (QuestionKind.ASK, Answered("ann"), "--json"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_said_before_anything_is_sent(
    kind: QuestionKind, answered: Answered, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        check_form(replace(QUESTION, kind=kind), answered)


@pytest.fixture
def ask(desk: Any, aiosv3: Any) -> Ask:
    """Sends a task to the agent and waits until its question is listed; the task's handle and the question's id."""

    def begin(text: str) -> tuple[str, str]:
        task_id = f"{text}-{uuid.uuid4().hex[:8]}"
        arguments = ("--id", task_id, "--as", "zoe", "-p", str(desk.file))
        sent = aiosv3("task", "send", "desk", "--json", json.dumps({"text": text}), *arguments)
        deadline = time.monotonic() + _ASK_S
        while True:
            listed = json.loads(aiosv3("approvals", "list", "--json", "-p", str(desk.file)).out)
            if any(one["id"] == f"{task_id}/1" for one in listed):
                return sent.out.strip(), f"{task_id}/1"
            assert time.monotonic() < deadline, desk.logs()

    return begin


class TestOnABroker:
    pytestmark = real

    def test_an_approval_from_the_question_to_the_result(self, desk: Any, aiosv3: Any, ask: Ask) -> None:
        project = ("-p", str(desk.file))
        handle, question = ask("approve")
        answer = ("approvals", "answer", question, *project)
        for who, words in (("zoe", "no person 'zoe'"), ("cyd", "does not have the role 'boss'")):
            said = aiosv3(*answer, "--approve", "--as", who)
            assert (said.code, said.out) == (1, "")
            assert words in said.err
        assert aiosv3(*answer, "--json", "1", "--as", "ann").code == 2

        accepted = aiosv3(*answer, "--approve", "--comment", "go on", "--as", "ann")
        assert (accepted.code, accepted.out) == (0, f"{question}: accepted\n"), accepted.err
        got = aiosv3("task", "get", handle, "--wait", "30", *project)
        assert json.loads(got.out) == {"text": "ann: go on"}

        listed = json.loads(aiosv3("approvals", "list", "--json", *project).out)
        assert question not in [one["id"] for one in listed]
        again = aiosv3(*answer, "--deny", "--as", "ann")
        assert (again.code, "was answered before" in again.err) == (1, True)

    def test_a_value_is_checked_against_its_schema(self, desk: Any, aiosv3: Any, ask: Ask) -> None:
        project = ("-p", str(desk.file))
        handle, question = ask("count")
        shown_one = json.loads(aiosv3("approvals", "show", question, *project).out)
        assert (shown_one["schema"], shown_one["asked_by"]) == ({"type": "integer"}, "zoe")
        wrong = aiosv3("approvals", "answer", question, "--json", '"many"', "--as", "ann", *project)
        assert (wrong.code, "does not fit" in wrong.err) == (1, True)
        right = aiosv3("approvals", "answer", question, "--json", "-", "--as", "ann", *project, text="12")
        assert right.code == 0, right.err
        assert json.loads(aiosv3("task", "get", handle, "--wait", "30", *project).out) == {"text": "12"}

    def test_an_unknown_question_is_said(self, desk: Any, aiosv3: Any) -> None:
        said = aiosv3("approvals", "answer", "nobody/1", "--approve", "--as", "ann", "-p", str(desk.file))
        assert (said.code, "there is no question 'nobody/1'" in said.err) == (1, True)

    def test_a_message_waits_for_its_task(self, desk: Any, aiosv3: Any) -> None:
        project = ("-p", str(desk.file))
        task_id = f"listen-{uuid.uuid4().hex[:8]}"
        sent = aiosv3("task", "send", "desk", "--json", '{"text": "listen"}', "--id", task_id, *project)
        handle = sent.out.strip()
        told = aiosv3("task", "tell", handle, "note", '{"text": "hello"}', "--id", "m1", *project)
        assert (told.code, told.out) == (0, f"{handle}: message m1 sent\n")
        assert json.loads(aiosv3("task", "get", handle, "--wait", "30", *project).out) == {"text": "hello"}
        assert aiosv3("task", "tell", handle, "note", "{", *project).code == 2
