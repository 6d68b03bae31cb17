"""``aiosv3 tail`` and ``trace`` on a real broker, and how their lines read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiosv3.app.commands.trace import _belongs, _draw, _said, _task_id
from aiosv3.streams.log import Record


def record(record_id: str) -> Record:
    return Record("t", 0, 0, 0, None, None, [("ce_id", record_id.encode())])


@pytest.mark.parametrize("found", ["t1", "t1~2", "t1/1", "t1/1~3", "t1/1/2"])
def test_steps_attempts_and_children_belong_to_a_task(found: str) -> None:
    assert _belongs(record(found), "t1")


@pytest.mark.parametrize("found", ["t10", "t10/1", "other", ""])
def test_others_do_not(found: str) -> None:
    assert not _belongs(record(found), "t1")


def test_a_task_is_named_by_its_handle_or_its_id() -> None:
    assert _task_id("desk:0:order:17") == "order:17"
    assert _task_id("order:a:17") == "order:a:17"
    assert _task_id("order-17") == "order-17"


def test_a_line_says_route_error_tokens_and_cost() -> None:
    usage = {"model_calls": 1, "input_tokens": 10, "output_tokens": 2, "cost_usd_micros": 14}
    value = {"outcome": "FAILED", "pool": "p", "model": None, "usage": usage, "error": {"type": "T", "message": "m"}}
    assert _said({"value": value}) == "FAILED, p, T: m, 10+2 tokens, 0.000014 USD"


def test_brackets_in_an_error_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"type": "E", "message": "[/red] [bold]"}
    place = {"timestamp": 5, "topic": "results.a", "partition": 1, "offset": 2, "type": "x"}
    _draw("t[/b]", [{**place, "id": "t[/b]", "value": {"error": error}}])
    said = capsys.readouterr().out
    assert "task t[/b], 0 ms" in said
    assert "results.a[1]@2  E: [/red] [bold]" in said


# -- on the broker ----------------------------------------------------------------------------------------------------

_REAL = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


@pytest.fixture(scope="module")
def answered(desk: Any) -> str:
    """The handle of a finished task with one model call."""
    import asyncio

    from aiosv3.app.commands.task import TaskEvent, _get, send_event
    from aiosv3.app.settings import load_settings
    from aiosv3.schemas.topics import TaskHandle

    async def ask() -> TaskHandle:
        settings = load_settings(desk.file)
        handle = await send_event(settings, TaskEvent("desk", "traced", "k", b'{"text": "ask"}', []))
        result = await _get(settings, handle, 60)
        assert result is not None
        assert result["output"] == {"text": "an answer"}, desk.logs()
        return handle

    return str(asyncio.run(ask()))


class TestOnTheBroker:
    pytestmark = _REAL

    def test_trace_shows_the_whole_way_in_order(self, desk: Any, aiosv3: Any, answered: str) -> None:
        rows = json.loads(aiosv3("trace", answered, "--json", "-p", str(desk.file)).out)
        way = [row["topic"] for row in rows if row["id"] in {"traced", "traced/1"}]
        steps = ["tasks.desk", "prompts", "decisions", "prompts.small", "completions.small", "journal.desk"]
        assert way == [*steps, "results.desk"]
        assert set(rows[0]) == {"timestamp", "topic", "partition", "offset", "id", "type", "value"}

    def test_trace_by_id_reads_as_a_tree_with_tokens_and_cost(self, desk: Any, aiosv3: Any, answered: str) -> None:
        del answered
        said = aiosv3("trace", "traced", "-p", str(desk.file))
        assert said.code == 0
        assert said.out.startswith("task traced, ")
        assert "ROUTED, small, tiny" in said.out
        assert "10+2 tokens, 0.000014 USD" in " ".join(said.out.replace("│", " ").split())

    def test_trace_of_nothing_ends_with_2(self, desk: Any, aiosv3: Any) -> None:
        said = aiosv3("trace", "never", "-p", str(desk.file))
        assert (said.code, said.err) == (2, "nothing on the log belongs to task 'never'")

    def test_trace_finds_dead_letters(self, desk: Any, aiosv3: Any) -> None:
        sent = aiosv3("task", "send", "desk", "--json", '{"text": 3}', "--id", "dead", "-p", str(desk.file)).out.strip()
        assert aiosv3("task", "get", sent, "--wait", "30", "-p", str(desk.file)).code == 1
        rows = json.loads(aiosv3("trace", sent, "--json", "-p", str(desk.file)).out)
        assert {"tasks.desk", "dead-letters", "results.desk"} <= {row["topic"] for row in rows}

    def test_tail_takes_names_with_and_without_prefix(self, desk: Any, aiosv3: Any, answered: str) -> None:
        del answered
        for name in ("results.desk", f"{desk.prefix}results.desk"):
            said = aiosv3("tail", name, "--json", "-p", str(desk.file))
            ids = [json.loads(line)["id"] for line in said.out.splitlines()]
            assert "traced" in ids

    def test_tail_shows_the_last_records_of_each_partition(self, desk: Any, aiosv3: Any, answered: str) -> None:
        del answered
        said = aiosv3("tail", "tasks.desk", "-n", "1", "-p", str(desk.file))
        lines = said.out.splitlines()
        assert 1 <= len(lines) <= 2
        assert f" {desk.prefix}tasks.desk[" in lines[0]
        assert aiosv3("tail", "tasks.desk", "-n", "0", "-p", str(desk.file)).out == ""

    def test_tail_of_no_topic_ends_with_2(self, desk: Any, aiosv3: Any) -> None:
        said = aiosv3("tail", "nope", "-p", str(desk.file))
        assert said.code == 2
        assert said.err == f"there is no topic 'nope' and no '{desk.prefix}nope'"
        assert aiosv3("tail", "tasks.desk", "-n", "-1", "-p", str(desk.file)).code == 2
