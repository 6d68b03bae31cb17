"""``aiosv3 run`` and ``task watch`` on a real worker, in a pipe and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from aiosv3.schemas.topics import TaskHandle

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]
SECONDS = 60


def test_it_prints_the_result(desk: Any, aiosv3: Any) -> None:
    said = aiosv3("run", "desk", '{"text": "hello"}', "-p", str(desk.file))
    assert (said.code, json.loads(said.out), said.err) == (0, {"text": "HELLO"}, "")
    piped = aiosv3("run", "desk", "-", "--json", "--key", "k", "-p", str(desk.file), text='{"text": "piped"}')
    whole = json.loads(piped.out)
    assert (whole["output"], whole["task_key"], whole["outcome"]) == ({"text": "PIPED"}, "k", "OK")


def test_a_failed_task_ends_with_1(desk: Any, aiosv3: Any) -> None:
    said = aiosv3("run", "desk", '{"text": "fail"}', "-p", str(desk.file))
    assert (said.code, said.out, said.err) == (1, "", "FAILED: ValueError: no [/such] letter\n")
    as_json = aiosv3("run", "desk", '{"text": "fail"}', "--json", "-p", str(desk.file))
    assert (as_json.code, json.loads(as_json.out)["error"]["type"]) == (1, "ValueError")


def test_what_is_not_finished_in_time_ends_with_3_and_says_how_to_go_on(desk: Any, aiosv3: Any) -> None:
    command = ("run", "desk", '{"text": "listen"}', "--timeout", "0.3", "-p", str(desk.file))
    said = aiosv3(*command)
    handle = TaskHandle.parse(said.err.split()[0])
    assert (said.code, said.out) == (3, "")
    assert f"aiosv3 task get {handle} --wait 60" in said.err
    assert f"aiosv3 task cancel {handle}" in said.err
    as_json = aiosv3(*command, "--json")
    assert (as_json.code, json.loads(as_json.out)["outcome"]) == (3, None)
    watched = aiosv3("task", "watch", str(handle), "--timeout", "0.3", "-p", str(desk.file))
    assert (watched.code, watched.err) == (3, f"{handle} is not finished\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "desk", "{"), "the input is not JSON"),
        (("run", "nobody", "{}"), "there is no agent 'nobody' at "),
        (("run", "desk", "{}", "--header", "ce_id=x"), "chosen with --id"),
        (("run", "desk", "{}", "--header", "ce_stream=1"), "header ce_stream is set by stream="),
        (("task", "watch", "nobody:0:x"), "there is no agent 'nobody' at "),
        (("task", "watch", "desk:0:x", "--after", "x"), "'x' is no cursor"),
    ],
)
def test_what_is_wrong_ends_with_2(desk: Any, aiosv3: Any, arguments: tuple[str, ...], words: str) -> None:
    said = aiosv3(*arguments, "-p", str(desk.file))
    assert said.code == 2
    assert words in said.err


def test_a_task_is_watched_as_lines_and_as_json(desk: Any, aiosv3: Any) -> None:
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "ask"}', "-p", str(desk.file)).out.strip()
    said = aiosv3("task", "watch", sent, "-p", str(desk.file))
    assert said.code == 0
    assert said.out.startswith("started (version ")
    assert said.out.endswith('{\n  "text": "an answer"\n}\n')
    lines = [
        json.loads(line) for line in aiosv3("task", "watch", sent, "--json", "-p", str(desk.file)).out.splitlines()
    ]
    assert [line["event"] for line in lines] == ["started", "finished"]
    after = ("--json", "--after", lines[0]["cursor"])
    rest = aiosv3("task", "watch", sent, *after, "-p", str(desk.file)).out.splitlines()
    assert [json.loads(line)["event"] for line in rest] == ["finished"]
    failed = aiosv3("task", "send", "desk", "--json", '{"text": "fail"}', "-p", str(desk.file)).out.strip()
    assert aiosv3("task", "watch", failed, "-p", str(desk.file)).code == 1
    assert aiosv3("task", "watch", failed, "--json", "-p", str(desk.file)).code == 1


class Terminal:
    """The command with a terminal as its stderr."""

    def __init__(self, *arguments: str) -> None:
        self._end, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aiosv3.app", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=other,
            text=True,
        )
        os.close(other)
        self.shown = ""

    def until(self, words: str) -> None:
        """Until the terminal shows them."""
        deadline = time.monotonic() + SECONDS
        while words not in self.shown:
            assert time.monotonic() < deadline, self.shown
            ready, _, _ = select.select([self._end], [], [], 1.0)
            if ready and not self._read():
                assert words in self.shown, self.shown

    def _read(self) -> bool:
        try:
            piece = os.read(self._end, 4_096)
        except OSError:  # the other end is closed
            return False
        self.shown += piece.decode()
        return bool(piece)

    def end(self) -> tuple[int, str]:
        """Exit code and stdout."""
        out, _ = self.process.communicate(timeout=SECONDS)
        while self._read():
            pass
        os.close(self._end)
        return self.process.returncode, out


def test_ctrl_c_in_a_terminal_leaves_the_task_running(desk: Any, aiosv3: Any) -> None:
    terminal = Terminal("run", "desk", '{"text": "listen"}', "-p", str(desk.file))
    terminal.until("started (version ")
    terminal.process.send_signal(signal.SIGINT)
    code, out = terminal.end()
    assert (code, out) == (130, "")
    assert "is not finished and goes on" in terminal.shown
    handle = terminal.shown.split(" is not finished")[0].split()[-1]
    told = aiosv3("task", "tell", handle, "note", '{"text": "still there"}', "-p", str(desk.file))
    assert told.code == 0
    got = aiosv3("task", "get", handle, "--wait", "30", "-p", str(desk.file))
    assert json.loads(got.out) == {"text": "still there"}


def test_a_terminal_shows_what_happens_and_stdout_has_the_result_alone(desk: Any) -> None:
    """Tokens are shown, not delivered: a result that is quicker than they are ends the show. One of a few has them."""
    for _ in range(5):
        terminal = Terminal("run", "desk", '{"text": "ask"}', "-p", str(desk.file))
        code, out = terminal.end()
        assert (code, json.loads(out)) == (0, {"text": "an answer"})
        assert "started (version " in terminal.shown
        if "answer of step 1:\r\nan answer\r\n" in terminal.shown:
            return
    raise AssertionError(terminal.shown)
