"""``aiosv3 dlq`` on a real broker with a real worker: what dies is found, shown, and done again once."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.letters import Correction, chosen, planned, read_letters
from aiosv3.app.settings import load_settings
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas.headers import CE_EXPIRYTIME, CE_ID
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.deadletters import dead_letter, too_large_letter
from aiosv3.streams.errors import RecordTooLarge
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.tenure import appended

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


@pytest.fixture
def task_id() -> str:
    """Of this test alone: the broker's dead letters are those of all tests."""
    return f"dlq-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def command(desk: Any, aiosv3: Any) -> Callable[..., Any]:
    """Runs ``aiosv3 dlq …`` on the project."""
    return lambda *arguments, text=None: aiosv3("dlq", *arguments, "-p", str(desk.file), text=text)


def on_mesh(desk: Any, work: Callable[[Mesh], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with open_mesh(load_settings(desk.file), "tests") as mesh:
            return await work(mesh)

    return asyncio.run(run())


@pytest.fixture
def die(desk: Any, aiosv3: Any) -> Callable[..., TaskHandle]:
    """Sends a task event with a plain producer and waits for its failed result: its letter is on the log by then."""

    def send(task_id: str, value: bytes, *headers: tuple[str, bytes]) -> TaskHandle:
        async def produce(mesh: Mesh) -> int:
            all_headers: Headers = [(CE_ID, task_id.encode()), ("own", b"\xff"), *headers]
            return (
                await appended(mesh.log, Outgoing(mesh.topics.tasks("desk"), 1, b"k", value, all_headers))
            ).partition

        handle = TaskHandle("desk", on_mesh(desk, produce), task_id)
        got = aiosv3("task", "get", str(handle), "--wait", "60", "-p", str(desk.file))
        assert got.code == 1, desk.logs()
        return handle

    return send


def found(command: Callable[..., Any], task_id: str) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = json.loads(command("list", "--agent", "desk", "-n", "0", "--json").out)
    return [letter for letter in letters if letter["id"].startswith(task_id)]


def output(aiosv3: Any, desk: Any, handle: str) -> Any:
    got = aiosv3("task", "get", handle, "--wait", "60", "-p", str(desk.file))
    assert got.code == 0, got.err + desk.logs()
    return json.loads(got.out)


def test_a_letter_is_listed_shown_corrected_and_done_once(
    desk: Any, aiosv3: Any, command: Any, die: Any, task_id: str, tmp_path: Path
) -> None:
    die(task_id, b'{"text": 3}')
    (letter,) = found(command, task_id)
    place = letter["letter"]
    assert (letter["topic"], letter["partition"], letter["agent"]) == (f"{desk.prefix}tasks.desk", 1, "desk")
    assert (letter["key"], letter["bytes"], letter["error"]) == ("k", 11, "MalformedValue")
    assert (letter["processor"], letter["redriven"]) == (f"{desk.prefix}agent.desk", [])
    listed = command("list", "--since", "1h", "-n", "0").out
    assert f"{task_id}  11 bytes\n  MalformedValue: the JSON is no input of desk: text: Input should be" in listed
    assert place not in command("list", "--topic", "prompts", "-n", "0").out

    shown = json.loads(command("show", place, "--json").out)
    assert (shown["value"], shown["hex"]) == ({"text": 3}, None)
    assert ["own", "\\xff"] in shown["headers"]
    raw = tmp_path / "raw"
    assert command("show", task_id, "--raw", str(raw)).code == 0
    assert raw.read_bytes() == b'{"text": 3}'

    dry = command("redrive", task_id, "--with", '{"text": "hello"}')
    assert (dry.code, dry.out.splitlines()) == (
        0,
        [
            f"{place}: would be redriven to {desk.prefix}tasks.desk[1] as desk:1:{task_id}.redrive-1",
            "Nothing is sent yet: --yes redrives it.",
        ],
    )
    assert found(command, task_id)[0]["redriven"] == []

    (told,) = json.loads(command("redrive", place, "--with", '{"text": "hello"}', "--yes", "--json").out)
    assert (told["sent"], told["task"]) == (True, f"desk:1:{task_id}.redrive-1")
    assert output(aiosv3, desk, told["task"]) == {"text": "HELLO"}
    (letter,) = found(command, task_id)
    assert [one["id"] for one in letter["redriven"]] == [f"{task_id}.redrive-1"]

    again = command("redrive", place, "--with", '{"text": "twice"}', "--yes")
    assert again.code == 1
    assert f"{place}: not redriven: redriven as {task_id}.redrive-1 by " in again.err
    (told,) = json.loads(command("redrive", place, "--with", '{"text": "2"}', "--again", "--yes", "--json").out)
    assert output(aiosv3, desk, told["task"]) == {"text": "2"}
    assert told["id"] == f"{task_id}.redrive-2"


def test_a_wrong_header_is_corrected_and_the_rest_stays(
    desk: Any, aiosv3: Any, command: Any, die: Any, task_id: str
) -> None:
    die(task_id, b'{"text": "late"}', (CE_EXPIRYTIME, b"tomorrow"))
    (told,) = json.loads(command("redrive", task_id, "--yes", "--json").out)
    assert aiosv3("task", "get", told["task"], "--wait", "60", "-p", str(desk.file)).code == 1
    first, second = found(command, task_id)
    assert (first["id"], second["id"]) == (task_id, f"{task_id}.redrive-1")

    (told,) = json.loads(command("redrive", second["letter"], "--header", "ce_expirytime=", "--yes", "--json").out)
    assert told["id"] == f"{task_id}.redrive-2"
    assert output(aiosv3, desk, told["task"]) == {"text": "LATE"}

    async def sent(mesh: Mesh) -> Record:
        bounds = await mesh.log.bounds(mesh.topics.tasks("desk"), 1)
        async for batch in mesh.log.read(mesh.topics.tasks("desk"), 1, bounds.start, bounds.end):
            for record in batch:
                if record.header(CE_ID) == told["id"].encode():
                    return record
        raise AssertionError(told)

    record = on_mesh(desk, sent)
    assert record.headers == [(CE_ID, told["id"].encode()), ("own", b"\xff"), ("aios-redrives", b"2")]
    assert (record.key, record.value) == (b"k", b'{"text": "late"}')


def test_an_event_in_structured_mode_is_done_again_in_binary_mode(
    desk: Any, aiosv3: Any, command: Any, die: Any, task_id: str
) -> None:
    """Its id is in its value, and an id that has a result already is answered from that."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": task_id,
        "source": "shop",
        "type": "letter",
        "expirytime": "tomorrow",
    }
    event["data"] = {"text": "bound"}
    die(task_id, json.dumps(event).encode(), ("content-type", b"application/cloudevents+json"), (CE_ID, b"not-this"))
    (letter,) = found(command, task_id)
    assert command("show", letter["letter"], "--raw", "-").out == json.dumps(event)
    (told,) = json.loads(command("redrive", task_id, "--header", "ce_expirytime=", "--yes", "--json").out)
    assert told["task"] == f"desk:1:{task_id}.redrive-1"
    assert output(aiosv3, desk, told["task"]) == {"text": "BOUND"}


def test_who_dies_between_redrive_and_mark_does_nothing_twice(
    desk: Any, aiosv3: Any, command: Any, die: Any, task_id: str
) -> None:
    die(task_id, b'{"text": 3}')

    async def send_only(mesh: Mesh) -> None:
        letters = await read_letters(mesh)
        (letter,) = chosen(letters, [task_id])
        plan = await planned(mesh, letters, letter, Correction('{"text": "first"}'), again=False)
        assert plan.outgoing is not None
        await appended(mesh.log, plan.outgoing)

    on_mesh(desk, send_only)
    (told,) = json.loads(command("redrive", task_id, "--with", '{"text": "second"}', "--yes", "--json").out)
    assert told["id"] == f"{task_id}.redrive-1"
    assert output(aiosv3, desk, told["task"]) == {"text": "FIRST"}


def test_filters_redrive_all_but_what_is_done(desk: Any, command: Any, task_id: str) -> None:
    """Letters of a topic that no worker reads, so that nothing that is sent there dies again."""
    topic = f"{desk.prefix}deltas"

    async def bury(mesh: Mesh) -> None:
        for number, original in enumerate((0, 1, 1)):  # the last one is a copy: a worker died beside its letter
            record = Record(topic, 0, original, 5, b"k", b"%d" % original, [(CE_ID, f"{task_id}{original}".encode())])
            letter = dead_letter(mesh.topics.dead_letters(), record, RecordTooLarge(topic, 0, f"{number}"), task_id)
            await appended(mesh.log, letter)

    on_mesh(desk, bury)
    mine = ("redrive", "--topic", "deltas", "--json")
    dry = [one for one in json.loads(command(*mine).out) if (one["id"] or "").startswith(task_id)]
    assert [(one["id"], one["sent"]) for one in dry] == [
        (f"{task_id}0.redrive-1", False),
        (f"{task_id}1.redrive-1", False),
    ]
    done = command(*mine, "--yes")
    assert (done.code, sum(one["sent"] for one in json.loads(done.out))) == (0, 2)
    again = command(*mine, "--yes")
    assert (again.code, [one["sent"] for one in json.loads(again.out) if one["sent"]]) == (0, [])


def test_bytes_that_stayed_behind_are_fetched(desk: Any, command: Any, task_id: str) -> None:
    async def bury(mesh: Mesh) -> None:
        topic = mesh.topics.deltas()
        ack = await appended(mesh.log, Outgoing(topic, 0, b"k", b"\x01\xff too much", [(CE_ID, task_id.encode())]))
        for offset in (ack.offset, ack.offset + 1_000_000):
            record = Record(topic, 0, offset, 5, b"k", b"", [(CE_ID, f"{task_id}-{offset}".encode())])
            error = RecordTooLarge(topic, 0, "too large")
            await appended(mesh.log, too_large_letter(mesh.topics.dead_letters(), record, error, "p"))

    on_mesh(desk, bury)
    letters = json.loads(command("list", "--topic", "deltas", "-n", "0", "--json").out)
    kept, gone = [letter for letter in letters if letter["id"].startswith(task_id)]
    assert (kept["bytes"], gone["bytes"]) == (None, None)
    shown = json.loads(command("show", kept["letter"], "--json").out)
    assert shown["hex"] == b"\x01\xff too much".hex()
    assert "value, in hexadecimal digits" in command("show", kept["letter"]).out
    assert json.loads(command("show", gone["letter"], "--json").out)["value"] is None
    assert command("redrive", kept["letter"]).code == 0
    refused = command("redrive", gone["letter"], "--yes")
    assert refused.code == 1
    assert "is gone: --with gives it new ones" in refused.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "which ones?"),
        (("0@0", "--all"), "not both"),
        (("0@0", "0@1", "--with", "{}"), "name one letter"),
        (("--all", "--with", "{}"), "name one letter"),
        (("0@0", "--header", "x"), "is not name=value"),
        (("0@0", "--header", "ce_id=x"), "follows from its letter"),
        (("--since", "soon"), "is no time"),
        (("9@999999",), "there is no dead letter"),
    ],
)
def test_wrong_command_lines_end_with_2(command: Any, arguments: tuple[str, ...], words: str) -> None:
    said = command("redrive", *arguments)
    assert said.code == 2
    assert words in said.err


def test_a_wrong_correction_is_refused_before_anything_is_sent(command: Any, die: Any, task_id: str) -> None:
    die(task_id, b"no json")
    for text, words in (
        ("{", "--with is not JSON"),
        ('{"text": 4}', "--with is no input of desk: $.text: 4 is not of"),
    ):
        said = command("redrive", task_id, "--with", text, "--yes")
        assert said.code == 2, said
        assert words in said.err
    assert found(command, task_id)[0]["redriven"] == []


def test_a_mesh_without_letters(idle: Any, aiosv3: Any) -> None:
    for arguments in (("list",), ("redrive", "--all", "--yes")):
        said = aiosv3("dlq", *arguments, "-p", str(idle.file))
        assert (said.code, said.out) == (0, "No dead letters.\n")
