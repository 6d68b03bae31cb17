"""``aiosv3 up`` as people use it: on a broker of theirs, in a real terminal, twice, and after a hard kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from aiosv3.app.localstack.processes import ProcessId, identify, is_alive

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("up")]

_READY_S = 90.0
_COMMAND = f"{sys.executable} -m aiosv3.app"


class Terminal:
    """A terminal with a shell in it, by tmux."""

    def __init__(self, folder: Path, columns: int) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        size = ["-x", str(columns), "-y", "50"]
        self._run("new-session", "-d", "-s", "t", "-c", str(folder), *size, "env PS1='$ ' bash --norc --noprofile")

    def type(self, *keys: str) -> None:
        self._run("send-keys", "-t", "t", *keys)

    def screen(self, *, colours: bool = False) -> str:
        return self._run("capture-pane", "-p", "-t", "t", *(["-e"] if colours else []))

    def wait(self, words: str, seconds: float = _READY_S) -> str:
        """The screen, once ``words`` (a regular expression) are on it."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not re.search(words, self.screen()):
            assert time.monotonic() < deadline, self.screen()
            pause.wait(0.02)
        return self.screen()

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[int], Terminal]]:
    if shutil.which("tmux") is None:
        pytest.skip("NO TMUX, so nothing is seen in a real terminal here")
    opened: list[Terminal] = []

    def open_one(columns: int) -> Terminal:
        opened.append(Terminal(tmp_path, columns))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def project(tmp_path: Path, model_port: int, desk_files: Callable[[Path], None], topic_prefix: str) -> Path:
    desk_files(tmp_path)
    (tmp_path / "aiosv3.toml").write_text(
        f'agents = ["letters_desk:desk"]\n[kafka]\npartitions = 2\nprefix = "{topic_prefix}"\n[pools.small]\n'
        f'kind = "openai"\nmodel = "tiny"\nclearance = "restricted"\nbase_url = "http://127.0.0.1:{model_port}/v1"\n',
        encoding="utf-8",
    )
    return tmp_path


def processes(status: Any) -> list[ProcessId]:
    found = [identify(one["pid"]) for one in status["processes"]]
    return [one for one in found if one is not None]


def test_one_life_on_a_broker_of_ones_own(
    project: Path, kafka: str, topic_prefix: str, aiosv3: Any, terminal: Callable[[int], Terminal]
) -> None:
    here = ("-p", str(project))
    screen = terminal(100)
    screen.type(f"{_COMMAND} up --bootstrap {kafka}; echo ended=$?", "Enter")
    screen.wait(r"\d of 5 are running; starting")
    shown = screen.wait("Ctrl-C stops it")
    assert "the broker is " + kafka in shown
    assert "┃ process " in shown
    assert "are running; starting" not in shown, "the moving line is gone"

    status = json.loads(aiosv3("status", "--json", *here).out)
    names = [one["name"] for one in status["processes"]]
    assert names == ["registry", "router-1", "desk-1", "pool-small-1", "agent-desk-1"]
    assert status["bootstrap"] == kafka
    topics = AdminClient({"bootstrap.servers": kafka, "log_level": 0}).list_topics(timeout=30).topics
    assert f"{topic_prefix}schemas" in topics
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "ask"}', *here)
    got = aiosv3("task", "get", sent.out.strip(), "--wait", "60", *here)
    assert (sent.code, got.code, json.loads(got.out)) == (0, 0, {"text": "an answer"})

    again = aiosv3("up", "--detach", *here)
    assert again.code == 0
    assert "It is running already.\n" in again.err
    assert "registry | schema registry on http://127.0.0.1:" in aiosv3("logs", "registry", "router-1", *here).out

    os.kill(status["processes"][0]["pid"], signal.SIGKILL)
    screen.wait("registry was killed by SIGKILL; it is started again in 0.5 s")
    screen.wait("registry runs again")
    left = processes(json.loads(aiosv3("status", "--json", *here).out))
    screen.type("C-c")
    screen.wait("Stopped.\nended=0")
    assert [one for one in left if is_alive(one)] == []


def test_ctrl_c_while_it_starts_in_a_narrow_terminal_without_colours(
    project: Path, kafka: str, aiosv3: Any, terminal: Callable[[int], Terminal]
) -> None:
    screen = terminal(44)
    screen.type(f"clear; NO_COLOR=1 {_COMMAND} up -d --bootstrap {kafka}; echo ended=$?", "Enter")
    screen.wait("of 5 are running; starting reg")
    assert "\x1b[3" not in screen.screen(colours=True).partition("Starting the")[2]
    screen.type("C-c")
    shown = screen.wait("ended=130")
    assert "Stopping what was started…" in shown
    assert "Traceback" not in shown
    assert aiosv3("status", "-p", str(project)).code == 3
