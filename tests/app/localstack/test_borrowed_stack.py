"""A stack of plain processes beside a broker that it does not run: everything about a stack that needs no Kafka."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive
from aiosv3.app.localstack.progress import Silent
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Addresses, Borrowed, Stack
from aiosv3.app.localstack.status import Phase, StackStatus

pytestmark = pytest.mark.process

BORROWED = Borrowed("there:9092", registered=False)
FOREVER = "import signal; signal.pause()"
# A stack whose one process is ready once somebody listens on a port; argv: folder, port, "detach" or "stay".
UP = """
import sys
from pathlib import Path
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Borrowed, Stack
folder, port = Path(sys.argv[1]), sys.argv[2]
spec = ProcessSpec("agent", (sys.executable, "-c", "import signal; signal.pause()"), folder / "logs" / "agent.log",
    ready=f"tcp://127.0.0.1:{port}")
status = Stack(folder, borrowed=Borrowed("there:9092", registered=False)).up(
    [spec], detach=sys.argv[3] == "detach"
)
print(status.supervisor.pid)
"""


class Lines(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "state", borrowed=BORROWED)
    yield stack
    stack.down()


def agent(stack: Stack, code: str = FOREVER, ready: str | None = None) -> ProcessSpec:
    return ProcessSpec("agent", (sys.executable, "-c", code), stack.folder / "logs" / "agent.log", ready=ready)


def wait(stack: Stack, done: Callable[[StackStatus], bool]) -> StackStatus:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = stack.status()
        if status is not None and done(status):
            return status
    raise AssertionError(f"not reached: {stack.status()}")


def start(stack: Stack, port: int, how: str = "detach") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", UP, str(stack.folder), str(port), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_only_what_is_not_borrowed_is_started(stack: Stack) -> None:
    assert stack.prepare() == Addresses("there:9092")
    status = stack.up([agent(stack)], detach=True)
    assert [one.name for one in status.processes] == ["agent"]
    assert dict(status.addresses) == {"kafka": "there:9092"}
    assert not (stack.folder / "kafka").exists() or not list((stack.folder / "kafka").iterdir())
    assert stack.down()


def test_the_embedded_registry_keeps_its_schemas_in_a_topic_of_the_mesh(tmp_path: Path) -> None:
    borrowed = Borrowed("a:1,b:2", schemas_topic="p.schemas")
    addresses, (spec,) = Stack(tmp_path, borrowed=borrowed)._prepare()
    assert spec.name == "registry"
    assert spec.argv[-6:-4] == ("--bootstrap", "a:1,b:2")
    assert spec.argv[-2:] == ("--topic", "p.schemas")
    assert addresses.registry.endswith(spec.argv[-3])
    addresses, specs = Stack(tmp_path, borrowed=Borrowed("a:1", "http://r"))._prepare()
    assert (addresses, specs) == (Addresses("a:1", "http://r"), [])


@pytest.fixture
def silent_port() -> Iterator[socket.socket]:
    """A port that somebody has taken; nobody answers there before ``listen()``."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server


def test_ups_at_the_same_time_make_one_stack_and_wait_until_it_is_ready(
    stack: Stack, silent_port: socket.socket
) -> None:
    ups = [start(stack, silent_port.getsockname()[1]) for _ in range(2)]
    wait(stack, lambda status: status.phase is Phase.STARTING)
    assert [up.poll() for up in ups] == [None, None]
    silent_port.listen()
    out = [up.communicate(timeout=60) for up in ups]
    assert [up.returncode for up in ups] == [0, 0], out
    status = stack.status()
    assert status is not None
    assert status.supervisor is not None
    assert [said.strip() for said, _ in out] == [str(status.supervisor.pid)] * 2


def test_an_up_beside_one_that_starts_in_the_foreground_comes_back_when_all_is_ready(
    stack: Stack, silent_port: socket.socket
) -> None:
    first = start(stack, silent_port.getsockname()[1], "stay")
    wait(stack, lambda status: status.processes[0].process is not None)
    answers: list[StackStatus] = []
    second = threading.Thread(target=lambda: answers.append(stack.up(detach=True)))
    second.start()
    second.join(0.3)
    assert answers == [], "it starts still"
    silent_port.listen()
    second.join(60)
    assert [(one.phase, one.supervisor) for one in answers] == [(Phase.READY, identify(first.pid))]
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)


def test_ctrl_c_while_it_starts_in_the_background_stops_what_was_started(stack: Stack) -> None:
    up = start(stack, 9)  # nobody listens there
    status = wait(stack, lambda status: any(one.process is not None for one in status.processes))
    left = [status.supervisor, *(one.process for one in status.processes)]
    up.send_signal(signal.SIGINT)
    assert up.wait(60) != 0
    up.communicate()
    assert [one for one in left if isinstance(one, ProcessId) and is_alive(one)] == []


def test_a_stack_that_is_stopped_while_it_starts_says_so(stack: Stack) -> None:
    up = start(stack, 9)
    wait(stack, lambda status: any(one.process is not None for one in status.processes))
    assert stack.down()
    _, err = up.communicate(timeout=60)
    assert "the stack was stopped while it started" in err or "the supervisor ended while it started" in err


def test_after_everything_was_killed_it_starts_again(stack: Stack) -> None:
    first = stack.up([agent(stack)], detach=True)
    for one in (first.supervisor, first.processes[0].process):
        assert one is not None
        os.kill(one.pid, signal.SIGKILL)
    lost = wait(stack, lambda status: status.phase is Phase.LOST and status.processes[0].process is None)
    assert not lost.is_up
    again = stack.up([agent(stack)], detach=True)
    assert again.phase is Phase.READY
    assert again.supervisor != first.supervisor


def test_a_process_id_that_was_given_to_somebody_else_is_left_alone(stack: Stack) -> None:
    status = stack.up([agent(stack)], detach=True)
    assert stack.down()
    me = identify(os.getpid())
    assert me is not None
    text = (stack.folder / "state.json").read_text()
    for phase in ("stopped", "ready"):
        stale = f'"process": {{"pid": {me.pid}, "started": "before"}}'
        (stack.folder / "state.json").write_text(
            text.replace('"process": null', stale).replace('"phase": "stopped"', f'"phase": "{phase}"')
        )
        found = stack.status()
        assert found is not None
        assert (found.processes[0].process, found.is_up) == (None, False)
        assert stack.up([agent(stack)], detach=True).phase is Phase.READY
        assert stack.down()
    assert status.phase is Phase.READY


def test_a_damaged_state_file_costs_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    status = stack.up([agent(stack)], detach=True)
    (stack.folder / "state.json").write_text('{"v": 1, "pha')
    assert stack.status() == status, "the supervisor mends it"
    assert stack.down()
    monkeypatch.setattr("aiosv3.app.localstack.stack._MENDED_S", 0.2)
    (stack.folder / "state.json").write_text("[]")
    assert stack.status() is None
    assert stack.up([agent(stack)], detach=True).phase is Phase.READY


def test_a_start_that_fails_is_one_sentence_with_the_reason_and_the_log(stack: Stack) -> None:
    with pytest.raises(LocalStackError) as error:
        stack.up([agent(stack, "raise ValueError('no [disk]')", ready="tcp://127.0.0.1:9")], detach=True)
    log = stack.folder / "logs" / "agent.log"
    assert str(error.value) == (f"agent ended with exit code 1 before it was ready: ValueError: no [disk] (log: {log})")


def test_in_the_foreground_what_happens_later_is_said(tmp_path: Path) -> None:
    class StopWhenItRunsAgain(Lines):
        def say(self, line: str) -> None:
            super().say(line)
            if line == "agent runs again":
                os.kill(os.getpid(), signal.SIGINT)

    def kill(status: StackStatus) -> None:
        process = status.processes[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)

    lines = StopWhenItRunsAgain()
    stack = Stack(tmp_path / "state", borrowed=BORROWED, progress=lines)
    assert stack.up([agent(stack)], detach=False, on_ready=kill).phase is Phase.STOPPED
    assert lines.said == ["agent was killed by SIGKILL; it is started again in 0.5 s", "agent runs again"]


def test_a_terminal_that_is_gone_leaves_no_process_behind(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state", borrowed=BORROWED)
    seen: list[StackStatus] = []

    def show(status: StackStatus) -> None:
        seen.append(status)
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        stack.up([agent(stack)], detach=False, on_ready=show)
    process = seen[0].processes[0].process
    assert process is not None
    assert not is_alive(process)
    status = stack.status()
    assert status is not None
    assert status.phase is Phase.STOPPED
