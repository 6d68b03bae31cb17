"""docs/tour.md, as a reader follows it: every block in its order, in one shell, against one real local stack.

The model is not the toy but an endpoint with fixed answers: quick, and the same on every machine. Lines below a command
must appear in its output, as in ``test_snippets``.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from tests.docs.test_snippets import Command, commands, first_missing

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
SECONDS: Final = 120.0
LOOKS: Final = ("aiosv3 approvals list", "aiosv3 status", "aiosv3 tail", "aiosv3 trace")
"""Commands that only look: a reader who is too early asks again."""


class Block(NamedTuple):
    """One fenced block; ``file``: where a reader saves it."""

    language: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks that belong to the tour, in order."""
    found = re.findall(r"^```(python|console) tour ?(\S*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


class Shell:
    """One bash for the whole tour: folder and variables stay."""

    _END: Final = "-- end of command, exit code"

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def run(self, line: str) -> str:
        """What a command printed, stderr included; fails if its exit code is not 0."""
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{{ {line}\n}} </dev/null\nprintf '\\n%s %d\\n' '{self._END}' $?\n")
        deadline = time.monotonic() + SECONDS
        printed: list[str] = []
        while not printed or not printed[-1].startswith(self._END):
            try:
                printed.append(self._lines.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                pytest.fail(f"$ {line}\ndid not end:\n{''.join(printed)}", pytrace=False)
        output = "".join(printed[:-1])
        if int(printed[-1].rsplit(" ", 1)[1]):
            code = printed[-1].rsplit(" ", 1)[1].strip()
            pytest.fail(f"$ {line}\nended with exit code {code}:\n{output}", pytrace=False)
        return output

    def close(self) -> None:
        """Ends it; what it has started in the background goes on."""
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.kill()
        self._bash.wait()
        self._reader.join(30)

    def _read(self) -> None:
        assert self._bash.stdout is not None
        with self._bash.stdout as stdout:
            for line in stdout:
                self._lines.put(line)


class _Answers(BaseHTTPRequestHandler):
    """Labels where a label is asked for; else one sentence."""

    def do_GET(self) -> None:
        self._say("application/json", b'{"data": [{"id": "fixed"}]}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = '{"label": "question"}' if "response_format" in asked else "At nine."
        choice = {"index": 0, "delta": {"content": words}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        parts = ({"choices": [choice]}, {"choices": [], "usage": usage})
        chunks = [{"id": "c1", "object": "chat.completion.chunk", "model": "fixed", **part} for part in parts]
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._say("text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of a model whose answers are fixed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shell(tmp_path: Path, endpoint: str, kafka_distribution: object) -> Iterator[Shell]:
    """As after the installation; whatever runs at the end is stopped."""
    del kafka_distribution  # fetched, so that the first start is as quick as a later one
    pool = {"kind": "openai", "base_url": endpoint, "model": "fixed", "clearance": "restricted"}
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIOSV3_", "MAKE"))}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    quick = {"AIOSV3_POOLS": json.dumps({"local": pool}), "AIOSV3_KAFKA__PARTITIONS": "2"}
    shell = Shell(tmp_path, {**own, "PATH": path, **quick})
    yield shell
    shell.close()
    for project in tmp_path.glob("*/aiosv3.toml"):
        down = [sys.executable, "-m", "aiosv3.app", "down", "-p", str(project)]
        subprocess.run(down, check=True, capture_output=True, timeout=SECONDS)


def follow(shell: Shell, command: Command) -> None:
    """Types a command and compares what it says with the page."""
    deadline = time.monotonic() + SECONDS
    while True:
        output = shell.run(command.line)
        missing = first_missing(command.expected, output)
        if missing is None:
            return
        if not command.line.startswith(LOOKS) or time.monotonic() > deadline:
            pytest.fail(f"$ {command.line}\ndid not print {missing!r}, but:\n{output}", pytrace=False)


@pytest.mark.process
@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("up")
def test_the_tour(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path
    for block in blocks(PAGE):
        if block.language == "python":
            (folder / block.file).write_text(block.text, encoding="utf-8")
            continue
        for command in commands(block.text):
            follow(shell, command)
            if command.line.startswith("cd "):
                folder /= command.line.removeprefix("cd ")


def test_the_tour_is_whole() -> None:
    """What the page is to show is there; and every block is run, but for the installation, which CI does itself."""
    lines = [command.line for block in blocks(PAGE) if block.language == "console" for command in commands(block.text)]
    verbs = ("new", "up", "run", "task send", "trace", "tail", "approvals answer", "down")
    assert [verb for verb in verbs if not any(f"aiosv3 {verb}" in line for line in lines)] == []
    assert any(line.startswith("kill -9 ") for line in lines)
    fences = re.findall(r"^```(\w.*)$", PAGE, re.MULTILINE)
    assert [info for info in fences if not re.match(r"\w+ (?:tour|runnable)", info)] == ["console"]
    (installing,) = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert "$ make setup" in installing
    assert "make setup" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_shell_keeps_its_folder_and_says_how_a_command_ended(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"PATH": os.environ["PATH"]})
    try:
        (tmp_path / "inner").mkdir()
        shell.run("cd inner; word=kept")
        assert shell.run("pwd; echo $word >&2; printf cut").splitlines() == [str(tmp_path / "inner"), "kept", "cut"]
        with pytest.raises(pytest.fail.Exception, match="exit code 3:\nsaid"):
            shell.run("echo said; (exit 3)")
        with pytest.raises(pytest.fail.Exception, match="did not print 'other'"):
            follow(shell, Command("echo this", ["other"]))
    finally:
        shell.close()
