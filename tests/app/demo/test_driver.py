"""The driver with a stack, topics and a producer of the test's own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aiosv3.app.demo import driver, produce, race, twin
from aiosv3.app.demo.driver import DemoOptions, Setup, held_back, new_run, pool_words, run_demo
from aiosv3.app.demo.race import Stopped
from aiosv3.app.demo.stack import DemoFailed, Process, Running, prepare
from aiosv3.app.demo.topiclog import Raw
from aiosv3.app.demo.view import Lines, Screen
from aiosv3.app.localstack.stack import Addresses
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

    def __init__(self, *_: object, **__: object) -> None:
        Stack.said = []

    def up(self) -> Running:
        self.said.append("up")
        return Running("127.0.0.1:9", None, self.processes())

    def processes(self) -> tuple[Process, ...]:
        return (Process("router-1", None, "backoff"),)

    def down(self) -> None:
        self.said.append("down")


class Backlog:
    """Nothing is left to do."""

    def __init__(self, *_: object) -> None:
        self.closed = False

    def is_empty(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


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
    """A run of two distributions on fakes; topics by a word in their name."""
    names = [one.metadata["Name"] for one in produce.chosen(2)]
    twins = [json.dumps({"distribution": name, "licence": "MIT", "by": "rule"}).encode() for name in names]
    topics: dict[str, list[Any]] = {
        "results": [runs.result(name, offset=place) for place, name in enumerate(names)],
        "tasks": [runs.task(name) for name in names],
        "decisions": [runs.decision(names[0])],
        "completions": [runs.completion(names[0])],
        "naive": [Raw(0, place, 1_900, (), value) for place, value in enumerate([*twins, twins[0]])],
    }

    def opened(bootstrap: str, topic: str, wait_s: float) -> Log:
        return Log(topics["naive" if topic.startswith("naive") else topic.split(".")[1]])

    monkeypatch.setattr(driver, "LocalStack", Stack)
    monkeypatch.setattr(driver, "Decoder", Decoder)
    monkeypatch.setattr(driver, "open_log", opened)
    monkeypatch.setattr(driver, "new_run", lambda: "r")
    monkeypatch.setattr(race, "_QUIET_S", 0.0)
    monkeypatch.setattr(driver, "_TWIN_QUIET_S", 0.0)
    monkeypatch.setattr(twin, "create_results", lambda *_: None)
    monkeypatch.setattr(twin, "wait_joined", lambda *_: None)
    monkeypatch.setattr(twin, "Backlog", Backlog)
    monkeypatch.setenv("AIOSV3_POOLS", json.dumps({"local": {"kind": "local"}}))
    script = tmp_path / "producer.py"
    script.write_text("", encoding="utf-8")
    monkeypatch.setattr(produce, "__file__", str(script))
    options = DemoOptions(tmp_path / "demo", tmp_path / "licences.csv", limit=2, deadline_s=30)
    return {"options": options, "topics": topics, "script": script}


def run(scene: dict[str, Any], **options: Any) -> tuple[int, str]:
    words = io.StringIO()
    code = run_demo(scene["options"], console=Console(file=words, width=200), **options)
    return code, words.getvalue()


def changed(scene: dict[str, Any], **changes: Any) -> dict[str, Any]:
    old = scene["options"]
    values = {"limit": 2, "deadline_s": 30.0, **changes}
    return {**scene, "options": DemoOptions(old.folder, old.csv, **values)}


def test_a_run_from_up_to_down(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, words = run(scene)
    assert code == 0
    assert Stack.said == ["up", "down"]
    assert "2 distributions" in words
    printed = capsys.readouterr().out
    assert "calls made again" in printed
    assert "naive loop" in printed
    assert scene["options"].csv.read_text(encoding="utf-8").startswith("distribution,version")


def test_a_run_as_json(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(scene, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["tasks"] == 2
    sides = content["comparison"]["sides"]
    assert (sides["ours"]["done_twice"], len(sides["naive"]["done_twice"])) == ([], 1)


def test_what_the_twin_loses_is_no_failure_of_ours(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    scene["topics"]["naive"] = []
    assert run(scene, as_json=True)[0] == 0
    assert len(json.loads(capsys.readouterr().out)["comparison"]["sides"]["naive"]["lost"]) == 2


def test_without_the_twin(scene: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(changed(scene, twin=False), as_json=True)
    assert code == 0
    assert list(json.loads(capsys.readouterr().out)["comparison"]["sides"]) == ["ours"]


def test_a_picture_of_the_run(scene: dict[str, Any], tmp_path: Path) -> None:
    run(changed(scene, svg=tmp_path / "run.svg"))
    text = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert "router-1" in text
    assert "paid&#160;twice" in text


def test_what_was_acknowledged_and_never_seen_again_is_lost(
    scene: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    scene["script"].write_text("print('r.gone', 0, 0, sep='\\t')", encoding="utf-8")
    code, _ = run(scene, as_json=True)
    assert code == 1
    content = json.loads(capsys.readouterr().out)
    assert content["guarantees"]["lost"] == ["r.gone"]
    assert content["comparison"]["sides"]["ours"]["lost"] == ["r.gone"]


def test_a_promise_that_is_broken_is_the_exit_code(scene: dict[str, Any], runs: Any) -> None:
    scene["topics"]["tasks"].append(runs.task("gone"))
    assert run(scene)[0] == 1


def test_a_producer_that_fails(scene: dict[str, Any]) -> None:
    scene["script"].write_text("raise SystemExit(1)", encoding="utf-8")
    with pytest.raises(DemoFailed, match="the producer ended with 1"):
        run(scene)
    assert Stack.said == ["up", "down"]


def test_stopping_takes_the_stack_down_and_counts_nothing(
    scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise Stopped

    monkeypatch.setattr(race.Race, "run", stop)
    code, words = run(scene)
    assert (code, Stack.said, capsys.readouterr().out) == (130, ["up", "down"], "")
    assert "Stopped" in words


def test_keep_leaves_the_stack_up(scene: dict[str, Any]) -> None:
    _, words = run(changed(scene, keep=True))
    assert Stack.said == ["up"]
    assert "aiosv3 down --project" in words


def test_a_stack_that_does_not_come_up_is_taken_down_even_then(
    scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Stack) -> Running:
        raise DemoFailed("no")

    monkeypatch.setattr(Stack, "up", fails)
    with pytest.raises(DemoFailed, match="no"):
        run(changed(scene, keep=True))
    assert Stack.said == ["down"]


def set_up(folder: Path, **options: Any) -> Setup:
    return Setup.of(DemoOptions(folder, folder / "x.csv", **options), prepare(folder))


def test_a_loop_that_knows_no_classes_stays_away_from_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send the texts of what was installed from a folder, too."""
    cloud = {"cloud": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}}
    monkeypatch.setenv("AIOSV3_POOLS", json.dumps(cloud))
    for local, runs in ((True, False), (False, True)):
        monkeypatch.setattr(produce, "is_local", lambda _, local=local: local)
        assert set_up(tmp_path).twin is runs
    assert not set_up(tmp_path, twin=False).twin


def test_one_model_for_both_and_as_many_loops_as_agent_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_POOLS", json.dumps({"local": {"kind": "local"}}))
    setup = set_up(tmp_path)
    specs = setup._beside(Addresses("127.0.0.1:9", ""))
    assert [spec.name for spec in specs] == ["model", "naive-1", "naive-2"]
    assert {str(setup.port)} == {url.split(":")[2].split("/")[0] for spec in specs[1:] for url in [spec.argv[-1]]}
    assert str(setup.calls) in specs[0].argv
    assert [spec.name for spec in set_up(tmp_path, twin=False)._beside(Addresses("127.0.0.1:9", ""))] == ["model"]


def test_a_picture_only_where_somebody_sees_it_and_can_press_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOSV3_POOLS", json.dumps({"local": {"kind": "local"}}))
    setup = set_up(tmp_path, limit=1)
    up: Any = (Stack(), Running("127.0.0.1:9", None, ()))
    for terminal, keys, wanted in ((True, True, Screen), (True, False, Lines), (False, True, Lines)):
        console = Console(file=io.StringIO(), force_terminal=terminal, _environ={"TERM": "xterm"})
        monkeypatch.setattr("sys.stdin", type("In", (), {"isatty": lambda _, keys=keys: keys})())
        job = driver.Job(setup, up, console)
        assert isinstance(job._view(), wanted)
        job._decoder.close()
