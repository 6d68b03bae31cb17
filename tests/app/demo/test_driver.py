"""The driver with a stack, a log and a producer of the test's own."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aiosv3.app.demo import driver, produce
from aiosv3.app.demo.driver import DemoOptions, held_back, new_run, pool_words, quiet, run_demo, watch
from aiosv3.app.demo.stack import DemoFailed, Process, Running
from aiosv3.app.settings import PoolSettings
from aiosv3.schemas.headers import Clearance


class Log:
    """A topic that hands out batches."""

    def __init__(self, *batches: list[Any]) -> None:
        self._batches = list(batches)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def fresh(self, timeout_s: float) -> list[Any]:
        return self._batches.pop(0) if self._batches else []

    def to_end(self) -> list[Any]:
        return [entry for batch in self._batches for entry in batch]


class Decoder:
    """Records are decoded already."""

    run = "r"

    def __init__(self, *_: object, **__: object) -> None:
        self.closed = False

    def results(self, raws: list[Any]) -> list[Any]:
        return raws

    def tasks(self, raws: list[Any]) -> list[Any]:
        return raws

    def records(self, kind: type, raws: list[Any]) -> list[Any]:
        return [raw for raw in raws if isinstance(raw.value, kind)]

    def close(self) -> None:
        self.closed = True


class Stack:
    """Counts what is asked of it."""

    said: list[str]

    def __init__(self, folder: Path) -> None:
        Stack.said = []

    def up(self) -> Running:
        self.said.append("up")
        return Running("127.0.0.1:9", None, self.processes())

    def processes(self) -> tuple[Process, ...]:
        return (Process("router-1", None, "backoff"),)

    def down(self) -> None:
        self.said.append("down")


def test_watching_ends_with_the_last_task(runs: Any) -> None:
    counts: list[int] = []
    log = Log([runs.result("a")], [], [runs.result("a", offset=1)], [runs.result("b", offset=2)], [runs.result("c")])
    raws = watch(log, Decoder(), 2, time.monotonic() + 60, counts.append)  # type: ignore[arg-type]
    assert counts == [1, 1, 1, 2]
    assert len(raws) == 3


def test_watching_ends_at_the_deadline() -> None:
    assert watch(Log(), Decoder(), 2, time.monotonic() - 1, lambda _: None) == []  # type: ignore[arg-type]


def test_late_copies_are_waited_for() -> None:
    assert quiet(Log([1], [2, 3], [], [4]), 0.1) == [1, 2, 3]  # type: ignore[arg-type]


def test_every_run_has_a_word_of_its_own() -> None:
    assert new_run() != new_run()
    assert "." not in new_run()


def test_the_answers_are_those_of_what_is_sent() -> None:
    assert list(held_back(4)) == [one.metadata["Name"] for one in produce.chosen(4)]


def test_who_is_asked_is_said_before_it_is() -> None:
    toy = PoolSettings(kind="local", model="SmolLM2-135M-Instruct", clearance=Clearance.RESTRICTED)
    assert pool_words("local", toy) == (
        "pool local: SmolLM2-135M-Instruct, a toy model, on this machine, up to restricted data"
    )
    assert "texts are sent to it" in pool_words("cloud", PoolSettings(kind="openai", model="x"))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, runs: Any, tmp_path: Path) -> dict[str, Any]:
    """A run of two distributions on fakes; topics by the word in their name."""
    names = [one.metadata["Name"] for one in produce.chosen(2)]
    topics: dict[str, list[Any]] = {
        "results": [runs.result(name, offset=place) for place, name in enumerate(names)],
        "tasks": [runs.task(name) for name in names],
        "decisions": [runs.decision(names[0])],
        "completions": [runs.completion(names[0])],
    }

    def opened(bootstrap: str, topic: str, wait_s: float) -> Log:
        return Log(topics[topic.split(".")[1]])

    monkeypatch.setattr(driver, "CommandLineStack", Stack)
    monkeypatch.setattr(driver, "Decoder", Decoder)
    monkeypatch.setattr(driver, "open_log", opened)
    script = tmp_path / "producer.py"
    script.write_text("", encoding="utf-8")
    monkeypatch.setattr(produce, "__file__", str(script))
    options = DemoOptions(tmp_path / "demo", tmp_path / "licences.csv", limit=2, deadline_s=30)
    return {"options": options, "topics": topics, "script": script}


def run(scene: dict[str, Any], **options: Any) -> tuple[int, str]:
    words = io.StringIO()
    code = run_demo(scene["options"], console=Console(file=words, width=200), **options)
    return code, words.getvalue()


def test_a_run_from_up_to_down(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, words = run(scene)
    assert code == 0
    assert Stack.said == ["up", "down"]
    assert "2 distributions" in words
    assert "calls made again" in capsys.readouterr().out
    assert scene["options"].csv.read_text(encoding="utf-8").startswith("distribution,version")


def test_a_run_as_json(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(scene, as_json=True)
    assert json.loads(capsys.readouterr().out)["tasks"] == 2


def test_what_was_acknowledged_and_never_seen_again_is_lost(
    scene: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    scene["script"].write_text("print('r.gone', 0, 0, sep='\\t')", encoding="utf-8")
    code, _ = run(scene, as_json=True)
    assert code == 1
    assert json.loads(capsys.readouterr().out)["guarantees"]["lost"] == ["r.gone"]


def test_a_promise_that_is_broken_is_the_exit_code(scene: dict[str, Any], runs: Any) -> None:
    scene["topics"]["tasks"].append(runs.task("gone"))
    assert run(scene)[0] == 1


def test_a_producer_that_fails(scene: dict[str, Any]) -> None:
    scene["script"].write_text("raise SystemExit(1)", encoding="utf-8")
    with pytest.raises(DemoFailed, match="the producer ended with 1"):
        run(scene)
    assert Stack.said == ["up", "down"]


def test_a_producer_that_hangs_is_ended(scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scene["script"].write_text("import threading; threading.Event().wait()", encoding="utf-8")
    monkeypatch.setattr(driver, "_PRODUCER_S", 0.1)
    with pytest.raises(DemoFailed, match="still sending at the deadline"):
        run(scene)


def test_keep_leaves_the_stack_up(scene: dict[str, Any]) -> None:
    kept = DemoOptions(scene["options"].folder, scene["options"].csv, limit=2, keep=True)
    _, words = run({**scene, "options": kept})
    assert Stack.said == ["up"]
    assert "aiosv3 down --project" in words


def test_a_stack_that_does_not_come_up_is_taken_down_even_then(
    scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Stack) -> Running:
        raise DemoFailed("no")

    monkeypatch.setattr(Stack, "up", fails)
    kept = DemoOptions(scene["options"].folder, scene["options"].csv, limit=2, keep=True)
    with pytest.raises(DemoFailed, match="no"):
        run({**scene, "options": kept})
    assert Stack.said == ["down"]
