"""The stack behind its command line: a stand-in program prints what ours prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.demo.stack import CommandLineStack, DemoFailed, Process, prepare, running_of

UP: dict[str, Any] = {
    "bootstrap": "127.0.0.1:9092",
    "registry": None,
    "processes": [{"name": "router-1", "pid": 7, "state": "running", "restarts": 0}],
}


def stack(folder: Path, program: str) -> CommandLineStack:
    return CommandLineStack(folder, (sys.executable, "-c", program))


def printing(content: object) -> str:
    return f"print({json.dumps(content)!r})"


def test_up_and_status(tmp_path: Path) -> None:
    running = stack(tmp_path, printing(UP)).up()
    assert (running.bootstrap, running.registry) == ("127.0.0.1:9092", None)
    assert stack(tmp_path, printing(UP)).processes() == (Process("router-1", 7, "running"),)


def test_the_command_line(tmp_path: Path) -> None:
    program = "import json, sys; open('argv', 'w').write(json.dumps(sys.argv[1:]))"
    CommandLineStack(tmp_path, (sys.executable, "-c", program.replace("argv'", f"{tmp_path}/argv'"))).down()
    arguments = json.loads((tmp_path / "argv").read_text(encoding="utf-8"))
    assert arguments == ["down", "--json", "--project", str(tmp_path / "aiosv3.toml")]


def test_words_for_what_goes_wrong(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="ended with 4; the logs are in"):
        stack(tmp_path, "raise SystemExit(4)").up()
    with pytest.raises(DemoFailed, match="printed no JSON: ready"):
        stack(tmp_path, "print('ready')").up()
    with pytest.raises(DemoFailed, match="not how a stack is described"):
        running_of({"bootstrap": "x", "processes": [{"name": "router-1"}]})
    with pytest.raises(DemoFailed, match="not how a stack is described"):
        running_of([])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("agent-licences-1", "agent worker"),
        ("router-1", "router"),
        ("pool-local-1", "model worker"),
        ("kafka", None),
        ("registry", None),
        ("desk-1", None),
    ],
)
def test_kinds(name: str, kind: str | None) -> None:
    assert Process(name, 1, "running").kind == kind


def test_a_folder_is_prepared_and_emptied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo"
    state = prepare(folder)
    assert state == (folder / ".aiosv3").resolve()
    assert "aiosv3.app.demo.licences:licences" in (folder / "aiosv3.toml").read_text(encoding="utf-8")
    state.mkdir()
    (state / "old").touch()
    stopped: list[CommandLineStack] = []

    def down(self: CommandLineStack) -> None:
        stopped.append(self)

    monkeypatch.setattr(CommandLineStack, "down", down)
    prepare(folder)
    assert not state.exists()
    assert len(stopped) == 1


def test_the_state_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "aiosv3.toml").write_text('agents = ["mine:mine"]\n', encoding="utf-8")
    with pytest.raises(DemoFailed, match="another project"):
        prepare(tmp_path)
    other = tmp_path / "other"
    (other / ".aiosv3").mkdir(parents=True)
    with pytest.raises(DemoFailed, match="is not the demo's"):
        prepare(other)
    assert (other / ".aiosv3").is_dir()
