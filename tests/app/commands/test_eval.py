"""``aiosv3 eval`` on a real broker with real workers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.clients import client_of
from aiosv3.app.commands.eval import _percent, _show_difference
from aiosv3.app.evaluation import Run, evaluate
from aiosv3.app.golden import Golden
from aiosv3.app.projects import agent_named
from aiosv3.app.releases import Case, Difference, Release, load_release
from aiosv3.app.settings import load_settings
from aiosv3.app.topology import agent_topics
from aiosv3.app.workers import open_mesh, settled
from aiosv3.schemas.records import JournalKind, Usage
from aiosv3.streams.kafka import ensure_topics

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
REAL = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


def golden(folder: Path, *lines: tuple[str, str, Any]) -> Path:
    """A file of (id, the letter's text, what is expected)."""
    path = folder / "golden.jsonl"
    rows = [{"id": name, "input": {"text": text}, "expect": expect} for name, text, expect in lines]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def journaled(aiosv3: Any, project: Any) -> list[Any]:
    """The journal of agent ``desk``."""
    rows = aiosv3("tail", "journal.desk", "--json", "-p", str(project.file)).out.splitlines()
    return [json.loads(row) for row in rows]


def test_a_change_reads_with_its_sign() -> None:
    assert [_percent(change) for change in (0.1, -0.05, 0.0, None)] == ["+10.0%", "-5.0%", "+0.0%", "unknown"]


def test_a_difference_names_what_broke_first(capsys: pytest.CaptureFixture[str]) -> None:
    before = Release("desk", MADE, ("v1", "v2"), (Case("a", None, 1, Usage()),))
    _show_difference(before, Difference(("a", "b"), ("c",), (), ("d",), 0.1, None, -0.5))
    assert capsys.readouterr().out.splitlines() == [
        "against v1, v2 of 2026-01-02 03:04, 1 of 1 passed:",
        "  newly failing: a, b",
        "  newly passing: c",
        "  not there any more: d",
        "  cost +10.0%, p50 unknown, p99 -50.0%",
    ]


class TestOnTheBroker:
    pytestmark = REAL

    def test_a_release_is_kept_and_the_next_one_is_held_against_it(
        self, desk: Any, aiosv3: Any, tmp_path: Path
    ) -> None:
        kept, project = tmp_path / "release.json", ("-p", str(desk.file))
        good = golden(
            tmp_path,
            ("upper", "hello", {"$.text": "HELLO"}),
            ("model", "ask", {"contains": "answer"}),
            ("fails", "fail", {"fails": "ValueError"}),
        )
        said = aiosv3("eval", "desk", "--data", str(good), "--save", str(kept), *project)
        assert said.code == 0, said.out + said.err
        assert ": 3 of 3 passed (100.0%), cost 0.000014 USD, latency p50 " in said.out
        assert said.out.endswith("gate: holds (100.0% must pass)\n")

        release = load_release(kept, "desk")
        assert [case.id for case in release.cases] == ["upper", "model", "fails"]
        assert [case.usage.model_calls for case in release.cases] == [0, 1, 0]
        assert all(case.latency_ms is not None and case.latency_ms >= 0 for case in release.cases)

        worse = golden(tmp_path, ("upper", "hullo", {"$.text": "HELLO"}), ("model", "ask", {"contains": "answer"}))
        before = kept.read_bytes()
        command = ("eval", "desk", "--data", str(worse), "--against", str(kept), "--save", str(kept), *project)
        said = aiosv3(*command, "--min-pass", "0.6")
        assert said.code == 1
        assert '$.text: expected "HELLO", got "HULLO"' in " ".join(said.out.split())
        assert "gate: DOES NOT HOLD (60.0% must pass)" in said.out
        assert "newly failing: upper" in said.out
        assert kept.read_bytes() == before, "a run that does not pass must not become what the next one is held against"

        assert aiosv3(*command, "--min-pass", "0.5", "--strict").code == 1
        said = aiosv3(*command, "--min-pass", "0.5", "--json")
        found = json.loads(said.out)
        assert (said.code, found["gate"]) == (0, True)
        assert found["summary"] | {"p50_ms": 0, "p99_ms": 0} == {
            "passed": 1,
            "total": 2,
            "pass_rate": 0.5,
            "cost_usd": 0.000014,
            "p50_ms": 0,
            "p99_ms": 0,
        }
        assert (found["difference"]["newly_failing"], found["difference"]["gone"]) == (["upper"], ["fails"])
        assert load_release(kept, "desk").pass_rate == 0.5

    def test_a_task_that_takes_too_long_is_cancelled(self, idle: Any, aiosv3: Any, tmp_path: Path) -> None:
        """No worker runs: nobody answers, and the cancel is in the journal for the one that will."""

        async def topics() -> None:
            settings = load_settings(idle.file)
            async with open_mesh(settings, "test") as mesh:
                await ensure_topics(mesh.connection, agent_topics(settings, mesh.topics, "desk"))

        asyncio.run(topics())
        data = golden(tmp_path, ("late", "hello", {"$.text": "HELLO"}))
        said = aiosv3("eval", "desk", "--data", str(data), "--timeout", "0.5", "-p", str(idle.file))
        assert said.code == 1
        assert "not finished within 0.5 s: cancelled" in " ".join(said.out.split())
        (cancel,) = journaled(aiosv3, idle)
        assert (cancel["value"]["kind"], cancel["value"]["task_id"].endswith("-late")) == (
            JournalKind.CANCEL.value,
            True,
        )

    def test_a_run_that_is_stopped_leaves_no_task_behind(self, idle: Any, aiosv3: Any, tmp_path: Path) -> None:
        """It would go on costing money."""
        asyncio.run(self._stopped_when_sent(idle))
        found = journaled(aiosv3, idle)
        assert {(row["value"]["kind"], row["value"]["task_id"]) for row in found} == {
            ("CANCEL", "eval-x-a"),
            ("CANCEL", "eval-x-b"),
        }

    async def _stopped_when_sent(self, idle: Any) -> None:
        settings = load_settings(idle.file)
        tasks = [Golden(1, name, {"text": "x"}, ()) for name in ("a", "b", "c")]
        async with open_mesh(settings, "test") as mesh, client_of(mesh) as client:
            await ensure_topics(mesh.connection, agent_topics(settings, mesh.topics, "desk"))
            run = Run(agent_named(settings, "desk"), at_once=2, id="eval-x")
            evaluating = asyncio.create_task(evaluate(client, run, tasks))
            topic, partitions = mesh.topics.tasks("desk"), range(settings.kafka.partitions)
            async with asyncio.timeout(30):
                while (
                    sum([(await settled(partial(mesh.log.bounds, topic, partition))).end for partition in partitions])
                    < 2
                ):
                    await asyncio.sleep(0.05)
            evaluating.cancel()
            with pytest.raises(asyncio.CancelledError):
                await evaluating

    @pytest.mark.parametrize(
        ("rows", "options", "words"),
        [
            ('{"id": "a"}', (), "golden.jsonl, line 1: expect, input is missing"),
            ('{"id": "a", "input": {"text": 3}, "expect": 1}', (), "line 1: this is no input of desk: text:"),
            ('{"id": "a", "input": {"text": "x"}, "expect": 1}', ("--strict",), "--strict compares with a release"),
            ('{"id": "a", "input": {"text": "x"}, "expect": 1}', ("--against", "none.json"), "none.json: No such file"),
            ('{"id": "a", "input": {"text": "x"}, "expect": 1}', ("--header", "x"), "is not name=value"),
        ],
    )
    def test_what_is_wrong_ends_with_2_before_anything_is_sent(
        self, idle: Any, aiosv3: Any, tmp_path: Path, rows: str, options: tuple[str, ...], words: str
    ) -> None:
        data = tmp_path / "golden.jsonl"
        data.write_text(rows, encoding="utf-8")
        said = aiosv3("eval", "desk", "--data", str(data), *options, "-p", str(idle.file))
        assert said.code == 2
        assert words in said.err

    def test_an_agent_or_a_file_that_is_not_there(self, idle: Any, aiosv3: Any, tmp_path: Path) -> None:
        project = ("-p", str(idle.file))
        assert "there is no agent 'nobody'" in aiosv3("eval", "nobody", "--data", "x", *project).err
        assert "--data missing: No such file" in aiosv3("eval", "desk", "--data", "missing", *project).err
        data = golden(tmp_path, ("a", "x", 1))
        assert "no topic" in aiosv3("eval", "desk", "--data", str(data), *project).err
