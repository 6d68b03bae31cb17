"""``aiosv3 task …`` on a real broker with a real worker."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from aiosv3.schemas.topics import TaskHandle

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


def new_id(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_a_task_sent_to_a_ready_worker_simply_works(desk: Any, aiosv3: Any) -> None:
    task_id = new_id("works")
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "hello"}', "--id", task_id, "-p", str(desk.file))
    assert sent.code == 0, sent.err
    handle = TaskHandle.parse(sent.out.strip())
    assert (handle.agent, handle.task_id) == ("desk", task_id)

    got = aiosv3("task", "get", str(handle), "--wait", "30", "-p", str(desk.file))
    assert (got.code, json.loads(got.out)) == (0, {"text": "HELLO"})

    whole = json.loads(aiosv3("task", "get", str(handle), "--json", "-p", str(desk.file)).out)
    assert (whole["task"], whole["outcome"], whole["output"]) == (str(handle), "OK", {"text": "HELLO"})
    assert whole["task_key"] == task_id
    assert "content" not in whole


def test_the_same_id_twice_is_the_same_task(desk: Any, aiosv3: Any) -> None:
    project = ("-p", str(desk.file), "--id", new_id("twice"), "--key", "k")
    handles = {aiosv3("task", "send", "desk", "--json", f'{{"text": "{n}"}}', *project).out for n in ("a", "b")}
    (handle,) = handles
    got = aiosv3("task", "get", handle.strip(), "--wait", "30", "-p", str(desk.file))
    assert json.loads(got.out) == {"text": "A"}


def test_input_comes_from_stdin_too(desk: Any, aiosv3: Any) -> None:
    sent = aiosv3("task", "send", "desk", "--json", "-", "-p", str(desk.file), text='{"text": "piped"}')
    got = aiosv3("task", "get", sent.out.strip(), "--wait", "30", "-p", str(desk.file))
    assert json.loads(got.out) == {"text": "PIPED"}


@pytest.mark.parametrize(
    ("value", "words"), [('{"text": "fail"}', "no [/such] letter"), ('{"text": 3}', "MalformedValue")]
)
def test_a_failed_task_ends_with_1_and_its_reason(desk: Any, aiosv3: Any, value: str, words: str) -> None:
    sent = aiosv3("task", "send", "desk", "--json", value, "-p", str(desk.file))
    got = aiosv3("task", "get", sent.out.strip(), "--wait", "30", "-p", str(desk.file))
    assert (got.code, got.out) == (1, "")
    assert got.err.startswith("FAILED: ")
    assert words in got.err


def test_headers_of_the_task_are_obeyed(desk: Any, aiosv3: Any) -> None:
    past = ("--header", "ce_expirytime=2020-01-01T00:00:00Z")
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "late"}', *past, "-p", str(desk.file))
    got = aiosv3("task", "get", sent.out.strip(), "--wait", "30", "-p", str(desk.file))
    assert got.code == 1
    assert "deadline" in got.err


def test_a_cancel_may_come_before_its_task(desk: Any, aiosv3: Any) -> None:
    first = aiosv3("task", "send", "desk", "--json", '{"text": "x"}', "--key", "same", "-p", str(desk.file))
    partition = TaskHandle.parse(first.out.strip()).partition
    handle = TaskHandle("desk", partition, new_id("cancelled"))
    cancelled = aiosv3("task", "cancel", str(handle), "-p", str(desk.file))
    assert (cancelled.code, cancelled.out) == (0, f"{handle}: cancel sent\n")
    send = ("task", "send", "desk", "--json", '{"text": "x"}', "--key", "same", "--id", handle.task_id)
    assert aiosv3(*send, "-p", str(desk.file)).out.strip() == str(handle)
    got = aiosv3("task", "get", str(handle), "--wait", "30", "-p", str(desk.file))
    assert got.code == 1
    assert got.err.startswith("CANCELLED: ")


def test_what_is_not_finished_ends_with_3(desk: Any, aiosv3: Any) -> None:
    got = aiosv3("task", "get", "desk:0:never-sent", "-p", str(desk.file))
    assert (got.code, got.out, got.err) == (3, "", "desk:0:never-sent is not finished\n")
    as_json = aiosv3("task", "get", "desk:0:never-sent", "--json", "-p", str(desk.file))
    assert (as_json.code, json.loads(as_json.out)) == (3, {"task": "desk:0:never-sent", "outcome": None})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("send", "desk", "--json", "{"), "--json is not JSON"),
        (("send", "desk", "--json", "{}", "--header", "x"), "--header 'x' is not name=value"),
        (("send", "desk", "--json", "{}", "--header", "ce_id=x"), "chosen with --id"),
        (("send", "nobody", "--json", "{}"), "there is no agent 'nobody' at "),
        (("send", "No_Name", "--json", "{}"), "agent name 'No_Name'"),
        (("get", "garbage"), "'garbage' is no task handle"),
        (("get", "nobody:0:x"), "there is no agent 'nobody' at "),
        (("get", "desk:7:x"), "has 2 partitions, so there is no 7"),
        (("cancel", "desk:7:x"), "has 2 partitions, so there is no 7"),
    ],
)
def test_what_is_wrong_ends_with_2_in_words(desk: Any, aiosv3: Any, arguments: tuple[str, ...], words: str) -> None:
    said = aiosv3("task", *arguments, "-p", str(desk.file))
    assert said.code == 2
    assert words in said.err
