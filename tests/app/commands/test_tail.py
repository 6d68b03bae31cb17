"""``aiosv3 tail`` on a real broker: named topics, all of them, one tree, and topics that appear."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from confluent_kafka import Producer

from aiosv3.app.commands.tail import _Printer
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Record

_LINE_S = 60


def test_a_line_is_text_with_a_colour_for_its_kind() -> None:
    class Mesh:
        topics = Topics("p.")

    printer = _Printer(Mesh(), as_json=False)  # type: ignore[arg-type]  # only its topics are used
    record = Record("p.results.a", 1, 2, 3_600_000, None, None, [("ce_id", b"t[/b]")])
    line = printer.line(record, {"task_id": "t", "outcome": "OK"})
    assert line.plain == "01:00:00.000 p.results.a[1]@2 t[/b] OK"
    assert [str(span.style) for span in line.spans] == ["dim", "bold green"]
    assert printer.line(record._replace(topic="other"), {}).plain.startswith("01:00:00.000 other[1]@2")


pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


def test_names_are_taken_with_and_without_the_prefix(desk: Any, aiosv3: Any, answered: str) -> None:
    del answered
    for name in ("results.desk", f"{desk.prefix}results.desk"):
        said = aiosv3("tail", name, "--json", "-n", "1000", "-p", str(desk.file))
        assert "traced" in [json.loads(line)["id"] for line in said.out.splitlines()]


def test_the_newest_records_of_all_partitions_together(desk: Any, aiosv3: Any, answered: str) -> None:
    del answered
    (line,) = aiosv3("tail", "tasks.desk", "-n", "1", "-p", str(desk.file)).out.splitlines()
    assert f" {desk.prefix}tasks.desk[" in line
    assert aiosv3("tail", "tasks.desk", "-n", "0", "-p", str(desk.file)).out == ""


def test_without_topics_all_that_carry_tasks_are_shown(desk: Any, aiosv3: Any, answered: str) -> None:
    del answered
    said = aiosv3("tail", "--json", "-n", "100000", "-p", str(desk.file)).out
    topics = {json.loads(line)["topic"].removeprefix(desk.prefix) for line in said.splitlines()}
    assert {"tasks.desk", "prompts", "completions.small", "journal.desk", "results.desk"} <= topics
    assert not {"pools", "agents", "deltas"} & topics
    assert len(aiosv3("tail", "-p", str(desk.file)).out.splitlines()) <= 20


def test_a_tree_is_shown_whole_and_alone(desk: Any, aiosv3: Any, answered: str) -> None:
    for name in (answered, "traced"):
        said = aiosv3("tail", "--tree", name, "--json", "-p", str(desk.file)).out
        lines = [json.loads(line) for line in said.splitlines()]
        assert {line["id"].partition("/")[0] for line in lines} == {"traced"}
        assert lines[0]["topic"] == f"{desk.prefix}tasks.desk"
        told = [line["topic"] for line in lines if line["topic"] != f"{desk.prefix}journal.router"]  # at any time after
        assert told[-1] == f"{desk.prefix}results.desk"
    only = aiosv3("tail", "results.desk", "--tree", "traced", "-p", str(desk.file)).out
    assert len(only.splitlines()) == 1


def test_a_topic_that_there_is_not_ends_with_2(desk: Any, aiosv3: Any) -> None:
    said = aiosv3("tail", "nope", "-p", str(desk.file))
    assert said.code == 2
    assert said.err.startswith(f"there is no topic 'nope' and no '{desk.prefix}nope': 'aiosv3 topics'")
    assert aiosv3("tail", "tasks.desk", "-n", "-1", "-p", str(desk.file)).code == 2


def test_following_a_tree_sees_topics_that_appear(idle: Any, kafka_topics: Any) -> None:
    """Nothing of the mesh is there yet when it starts."""
    # A job in the background of a shell inherits an ignored SIGINT: set it as a terminal has it.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from aiosv3.app.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "tail", "--tree", "mine", "-f", "--json", "-p", str(idle.file)]
    producer = Producer({"bootstrap.servers": idle.bootstrap, "log_level": 0})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        lines: queue.Queue[bytes] = queue.Queue()

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for kind in ("tasks", "results"):
                topic = kafka_topics.create(f"{kind}.late", 1)
                for record_id in (b"other", b"mine/1"):
                    producer.produce(topic, b'{"n": 1}', headers=[("ce_id", record_id)])
                assert producer.flush(30) == 0
                found = json.loads(lines.get(timeout=_LINE_S))
                assert (found["topic"], found["id"]) == (topic, "mine/1")
        finally:
            process.send_signal(signal.SIGINT)
            reader.join(30)
        err = process.stderr.read() if process.stderr is not None else b""
        assert (process.wait(30), err) == (0, b"")
