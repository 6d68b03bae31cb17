"""``aiosv3 worker …``: each verb runs its worker with the project's settings, and logs."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiosv3.app import modelworkers, routers, tooling, workers
from aiosv3.app.commands import worker
from aiosv3.app.settings import Settings


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, tuple[str, ...]]]:
    """What was run: worker, folder of its settings, names."""
    calls: list[tuple[str, Path, tuple[str, ...]]] = []

    def replace(kind: str, home: ModuleType) -> None:
        async def run(settings: Settings, *names: str, push: bool = False) -> None:
            calls.append((kind, settings.folder, (*names, *(["--push"] if push else []))))

        monkeypatch.setattr(home, f"run_{kind}", run)

    for kind, home in {"agent": workers, "router": routers, "pool": modelworkers, "zone": tooling}.items():
        replace(kind, home)
    return calls


@pytest.mark.parametrize(
    ("arguments", "kind", "names"),
    [
        (("agent", "desk"), "agent", ("desk",)),
        (("router",), "router", ()),
        (("router", "--push"), "router", ("--push",)),
        (("pool", "small"), "pool", ("small",)),
        (("tools", "office"), "zone", ("office",)),
    ],
)
def test_each_verb_runs_its_worker_with_a_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ran: list[Any],
    aiosv3: Any,
    arguments: tuple[str, ...],
    kind: str,
    names: tuple[str, ...],
) -> None:
    levels: list[int] = []
    monkeypatch.setattr(worker, "log_to_stderr", lambda: levels.append(logging.INFO))
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    assert aiosv3("worker", *arguments, "-p", str(tmp_path)).code == 0
    assert ran == [(kind, tmp_path.resolve(), names)]
    assert levels == [logging.INFO]


def test_a_worker_needs_its_name(aiosv3: Any) -> None:
    assert aiosv3("worker", "agent").code == 2
    assert aiosv3("worker", "pool").code == 2


@pytest.mark.process
def test_an_unknown_agent_ends_with_2_and_one_sentence(tmp_path: Path, aiosv3_process: Any) -> None:
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    said = aiosv3_process("worker", "agent", "nobody", cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("aiosv3: there is no agent 'nobody' in this project; it has none: list them in")


@pytest.mark.parametrize(
    ("arguments", "code", "words"), [(("agent",), 2, "Missing argument"), (("--help",), 0, "router")]
)
def test_a_worker_of_its_own_process_answers_as_the_command_does(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = run_module("worker", *arguments)
    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr


def test_a_worker_starts_without_the_other_verbs_and_says_its_errors_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "aiosv3.toml").write_text("[kafka]\nbootstrap = 7\n", encoding="utf-8")
    ended = run_module("worker", "agent", "nobody", "-p", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("aiosv3: ")
    assert "Traceback" not in ended.stderr
    loaded = "import sys, aiosv3.app.commands.worker; print('aiosv3.app.cli' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m aiosv3.app ARGUMENTS``, to its end."""
    command = [sys.executable, "-m", "aiosv3.app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
