"""``aiosv3 trace`` on a real broker: what happened to one task, by its handle and by its id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aiosv3.app.reading import Reading
from aiosv3.app.settings import load_settings
from aiosv3.app.tracing import Wanted, event_of, ranges, traced_topics
from aiosv3.app.workers import open_mesh
from aiosv3.streams.kafka import Overview

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


def test_the_tree_holds_the_whole_way_with_its_money(desk: Any, aiosv3: Any, answered: str) -> None:
    found = json.loads(aiosv3("trace", answered, "--json", "-p", str(desk.file)).out)
    assert (found["task"], found["agent"], found["outcome"], found["error"]) == ("traced", "desk", "OK", None)
    assert found["spent"]["cost_usd_micros"] == 14
    assert found["took_ms"] >= 0
    (step,) = found["steps"]
    (attempt,) = step["attempts"]
    assert (step["kind"], step["outcome"], attempt["pool"], attempt["model"]) == ("model", "OK", "small", "tiny")
    assert attempt["reason"].startswith("best of 1 eligible")
    way = [row["topic"] for row in found["records"]]
    # What the router is told of the bill comes at any time after the completion; nobody waits for it.
    assert [topic for topic in way if topic not in {"deltas", "journal.router"}] == [
        "tasks.desk", "journal.desk", "prompts", "decisions", "prompts.small", "completions.small", "journal.desk",
        "results.desk",
    ]  # fmt: skip
    assert set(found["records"][0]) == {"timestamp", "topic", "partition", "offset", "id", "type", "value"}


def test_an_id_reads_as_a_tree(desk: Any, aiosv3: Any, answered: str) -> None:
    del answered
    said = aiosv3("trace", "traced", "-p", str(desk.file))
    first, *rest = said.out.splitlines()
    assert said.code == 0
    assert first.startswith("task traced  desk  OK in ")
    assert first.endswith("; 10+2 tokens, 0.000014 USD")
    (model,) = [line for line in rest if " 1 model small (tiny): best of 1 eligible" in line]
    assert "  OK in " in model
    assert "completions.small[" not in said.out
    assert "completions.small[" in aiosv3("trace", "traced", "--records", "-p", str(desk.file)).out


def test_reading_begins_at_the_event(desk: Any, aiosv3: Any, answered: str) -> None:
    """A later task must not make anybody read what lies before it."""
    del answered
    later = aiosv3("task", "send", "desk", "--json", '{"text": "later"}', "--id", "later", "-p", str(desk.file)).out
    assert aiosv3("task", "get", later.strip(), "--wait", "30", "-p", str(desk.file)).code == 0

    async def begins(text: str) -> tuple[int, int]:
        async with open_mesh(load_settings(desk.file), "trace-test") as mesh:
            reading, overview = Reading(mesh), Overview(mesh.connection)
            counts = await traced_topics(overview, mesh.topics)
            event = await event_of(reading, overview, Wanted.parse(text))
            assert event is not None
            held = await ranges(reading, overview, counts, event)
            return event.timestamp, sum(one.end - one.start for one in held.values())

    first, all_of_it = asyncio.run(begins("traced"))
    second, rest = asyncio.run(begins(later.strip()))
    assert first <= second
    assert rest <= all_of_it


def test_a_task_of_nobody_ends_with_2(desk: Any, aiosv3: Any) -> None:
    said = aiosv3("trace", "never", "-p", str(desk.file))
    assert (said.code, said.err) == (2, "nothing on the log belongs to task 'never'")


def test_dead_letters_belong_to_their_task(desk: Any, aiosv3: Any) -> None:
    sent = aiosv3("task", "send", "desk", "--json", '{"text": 3}', "--id", "dead", "-p", str(desk.file)).out.strip()
    assert aiosv3("task", "get", sent, "--wait", "30", "-p", str(desk.file)).code == 1
    found = json.loads(aiosv3("trace", sent, "--json", "-p", str(desk.file)).out)
    assert found["outcome"] == "FAILED"
    assert {"tasks.desk", "dead-letters", "results.desk"} <= {row["topic"] for row in found["records"]}


def test_a_person_that_is_asked_is_waited_for(desk: Any, aiosv3: Any) -> None:
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "approve"}', "--as", "cyd", "-p", str(desk.file))
    handle = sent.out.strip()
    assert aiosv3("task", "get", handle, "--wait", "0.5", "-p", str(desk.file)).code == 3
    said = aiosv3("trace", handle, "-p", str(desk.file))
    assert "1 person approve by boss: Send it?  waiting for " in said.out
    question = f"{handle.split(':', 2)[2]}/1"
    answer = aiosv3("approvals", "answer", question, "--approve", "--as", "ann", "-p", str(desk.file))
    assert answer.code == 0, answer.err
    assert aiosv3("task", "get", handle, "--wait", "30", "-p", str(desk.file)).code == 0
    assert " by ann" in aiosv3("trace", handle, "-p", str(desk.file)).out
