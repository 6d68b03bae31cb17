"""A small project on a real broker: its file, its worker processes, and the command line pointed at it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiosv3.app.cli import app, exit_code
from aiosv3.app.localstack.ports import answers, free_port
from aiosv3.schemas.errors import AiosError

_MODULE = '''
from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Letter(BaseModel):
    text: str


class Reply(BaseModel):
    text: str


@agent(budget="0.5")
async def desk(ctx: Context, letter: Letter) -> Reply:
    """Answers letters."""
    if letter.text == "fail":
        raise ValueError("no [/such] letter")
    if letter.text == "ask":
        return Reply(text=await ctx.generate("a question"))
    if letter.text == "approve":
        approval = await ctx.approve("Send it?", by="boss")
        return Reply(text=f"{approval.who}: {approval.comment}")
    if letter.text == "count":
        return Reply(text=str(await ctx.ask("How many?", int, by="boss")))
    if letter.text == "both":
        return Reply(text=f"{await ctx.generate('a question')} {(await ctx.receive('note', Letter)).text}")
    if letter.text == "listen":
        return Reply(text=(await ctx.receive("note", Letter)).text)
    return Reply(text=letter.text.upper())
'''

_PROJECT = """
agents = ["letters_desk:desk"]

[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = 2

[pools.small]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "tiny"
clearance = "restricted"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0

[people.ann]
roles = ["boss"]

[people.cyd]
"""
_READY_S = 60.0


@dataclass
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class ProjectFolder:
    """A project of one agent, ``desk``, and one pool, ``small``, on the tests' broker."""

    folder: Path
    bootstrap: str
    prefix: str
    endpoint_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "letters_desk.py").write_text(_MODULE, encoding="utf-8")
        text = _PROJECT.format(bootstrap=self.bootstrap, prefix=self.prefix, port=self.endpoint_port)
        self.file.write_text(text, encoding="utf-8")

    @property
    def file(self) -> Path:
        """The project file."""
        return self.folder / "aiosv3.toml"

    def start(self, *worker: str) -> int:
        """``aiosv3 worker …`` as a process; returns its metrics port, which answers once it is ready."""
        port = free_port()
        name = "-".join((*worker, str(len(self.processes))))
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "aiosv3.app", "worker", *worker, "--project", str(self.file)],
                stdout=log,
                stderr=log,
                env={**os.environ, "AIOSV3_METRICS__PORT": str(port)},
            )
        return port

    def wait_ready(self, ports: Sequence[int]) -> None:
        """Until all answer."""
        deadline = time.monotonic() + _READY_S
        while not all(answers(port) for port in ports):
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not ended, f"{ended} ended\n{self.logs()}"
            assert time.monotonic() < deadline, f"not ready\n{self.logs()}"
            threading.Event().wait(0.05)

    def stop(self) -> dict[str, int]:
        """SIGTERM; returns the exit codes."""
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(30) for name, process in self.processes.items()}

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(path.read_text(encoding="utf-8")[-3_000:] for path in sorted(self.folder.glob("*.log")))


class _Model(BaseHTTPRequestHandler):
    """Streams one short answer, as chat completions do."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        choice = {"index": 0, "delta": {"content": "an answer"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        for chunk in ({"choices": [choice]}, {"choices": [], "usage": usage}):
            body = json.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "tiny", **chunk})
            self.wfile.write(f"data: {body}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture(scope="session")
def model_port() -> Iterator[int]:
    """A port of this machine where a model answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory, kafka: str, model_port: int) -> Iterator[ProjectFolder]:
    """The project with its workers up and ready. They end in peace."""
    folder = tmp_path_factory.mktemp("desk")
    project = ProjectFolder(folder, kafka, f"t{uuid.uuid4().hex[:10]}.", model_port)
    try:
        workers = (("agent", "desk"), ("router",), ("pool", "small"), ("desk",))
        project.wait_ready([project.start(*worker) for worker in workers])
        yield project
        codes = project.stop()
        assert set(codes.values()) == {0}, f"{codes}\n{project.logs()}"
    finally:
        for process in project.processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def answered(desk: ProjectFolder) -> str:
    """The handle of a finished task, ``traced``, with one model call."""
    place = ("-p", str(desk.file))
    sent = CliRunner().invoke(app, ["task", "send", "desk", "--json", '{"text": "ask"}', "--id", "traced", *place])
    assert sent.exit_code == 0, sent.output
    handle = sent.stdout.strip()
    got = CliRunner().invoke(app, ["task", "get", handle, "--wait", "60", *place])
    assert (got.exit_code, json.loads(got.stdout)) == (0, {"text": "an answer"}), desk.logs()
    return handle


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@pytest.fixture
def desk_files() -> Callable[[Path], None]:
    """Puts the module of the project's agent into a folder."""

    def write(folder: Path) -> None:
        (folder / "letters_desk.py").write_text(_MODULE, encoding="utf-8")

    return write


@pytest.fixture
def idle(tmp_path: Path, kafka: str, topic_prefix: str) -> ProjectFolder:
    """The same project under a prefix of this test's own; nothing runs."""
    return ProjectFolder(tmp_path, kafka, topic_prefix, 9)


@pytest.fixture
def aiosv3() -> Callable[..., Said]:
    """Runs the command in this process; ends as :func:`aiosv3.app.cli.main` would."""

    def run(*arguments: str, text: str | None = None) -> Said:
        result = CliRunner().invoke(app, list(arguments), input=text)
        if isinstance(result.exception, AiosError):
            return Said(exit_code(result.exception), result.stdout, f"{result.stderr}{result.exception}")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def aiosv3_process() -> Callable[..., Said]:
    """Runs the command as a process of its own, as a shell does."""

    def run(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, seconds: float = 60) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "aiosv3.app", *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run
