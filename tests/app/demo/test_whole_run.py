"""The whole demo on a terminal: a real broker, real workers, both sides, kills by plan and one by a key."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_SOON_S = 90.0
_LIMIT = 12


class _FirstOfTheChoices(BaseHTTPRequestHandler):
    """An OpenAI-compatible model that takes a moment and then answers with the first thing that it may say."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        allowed = request["response_format"]["json_schema"]["schema"]["properties"]["value"]
        value = json.dumps({"value": allowed.get("const") or allowed["enum"][0]})
        threading.Event().wait(0.3)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        choice = {"index": 0, "delta": {"content": value}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        for chunk in ({"choices": [choice]}, {"choices": [], "usage": usage}):
            body = json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "tiny", **chunk})
            self.wfile.write(f"data: {body}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return  # its asker was killed


@pytest.fixture
def model_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _FirstOfTheChoices)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


class Terminal:
    """A terminal with a program on it: its keys and its errors; its output goes to a file."""

    def __init__(self, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.folder = folder
        self.shown = ""
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 130, 0, 0))
        self._before = termios.tcgetattr(self._theirs)
        with (folder / "out").open("wb") as out:
            self.program = subprocess.Popen(
                [sys.executable, "-m", "aiosv3.app", *arguments],
                stdin=self._theirs,
                stdout=out,
                stderr=self._theirs,
                cwd=folder,
                env={**os.environ, "TERM": "xterm-256color", **environment},
            )

    def until(self, words: str) -> None:
        """Reads what is shown until it holds ``words``."""
        deadline = time.monotonic() + _SOON_S
        while words not in self.shown:
            assert self._read(), f"{words!r} was never shown:\n{self.shown[-3_000:]}"
            assert time.monotonic() < deadline, f"{words!r} was not shown in time:\n{self.shown[-3_000:]}"

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def ended(self) -> int:
        """The exit code; what is still shown is read, or the program would wait for it."""
        deadline = time.monotonic() + _SOON_S
        while self._read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.shown[-3_000:]}"
        return self.program.wait(_SOON_S)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self._before

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.terminate()
            self.program.wait(_SOON_S)
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self) -> bool:
        """Whether the program still runs."""
        running = self.program.poll() is None
        while select.select([self._ours], [], [], 0.1)[0]:
            self.shown += os.read(self._ours, 65_536).decode("utf-8", "replace")
        return running


@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("kafka_distribution")
def test_the_whole_run(tmp_path: Path, model_url: str) -> None:
    pools = {"stub": {"kind": "openai", "base_url": model_url, "model": "tiny", "clearance": "restricted"}}
    arguments = ["demo", "--limit", str(_LIMIT), "--seed", "3", "--json", "--svg", "run.svg", "--folder", "demo"]
    terminal = Terminal(tmp_path, arguments, {"AIOSV3_POOLS": json.dumps(pools)})
    try:
        terminal.until("k kill a process")
        terminal.press("k")
        terminal.until("which one?")
        terminal.press("4")
        terminal.until("desk-1 (pid")
        code = terminal.ended()
        assert code == 0, terminal.shown[-3_000:]
        assert terminal.is_as_before()
    finally:
        terminal.close()
    check(json.loads((tmp_path / "out").read_text(encoding="utf-8")))
    assert "naive&#160;loop" in (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert (tmp_path / "licences.csv").read_text(encoding="utf-8").count("\n") > _LIMIT


def check(content: dict[str, Any]) -> None:
    """Ours kept all it promises; the twin was treated alike, whatever came of it."""
    ours, naive = (content["comparison"]["sides"][name] for name in ("ours", "naive"))
    assert (content["lost"], content["done_twice"], content["called_again"]) == (0, 0, 0)
    assert (ours["tasks"], naive["tasks"], ours["lost"]) == (_LIMIT, _LIMIT, [])
    assert [kill["after"] for kill in naive["kills"]] == [kill["after"] for kill in ours["kills"][:3]]
    done = {kill["name"].rpartition("-")[0]: kill["back"] for kill in ours["kills"] if kill["pid"]}
    assert {"agent-licences", "desk"} <= set(done), "later kills may find that all is done, where results come at once"
    assert any(kill["pid"] for kill in naive["kills"])
    assert len(naive["lost"]) + len({*naive["done_twice"]}) <= _LIMIT
    calls = ours["calls"]
    assert calls["calls"] == calls["answered"] + calls["cut"] + calls["failed"]
