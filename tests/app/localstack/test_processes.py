from __future__ import annotations

import os
import platform
import signal
import sys
import time
from pathlib import Path

import pytest

from aiosv3.app.localstack import processes
from aiosv3.app.localstack.ports import is_free
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive, launch, send, terminate, wait_gone

pytestmark = pytest.mark.process

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile 1: signal.pause()"
)


EXIT = {"x86_64": 60, "aarch64": 93}
"""The system call that ends one thread and not its process."""
HEADLESS = """
import ctypes, signal, socket, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept(), daemon=True).start()
print(server.getsockname()[1], "up", flush=True)
ctypes.CDLL(None).syscall({exit}, 0)
"""


def _python(code: str, log: Path) -> ProcessId:
    process = launch([sys.executable, "-c", code], os.environ, log)
    deadline = time.monotonic() + 20
    while "up\n" not in log.read_text() and time.monotonic() < deadline:
        pass
    return process


@pytest.mark.skipif(platform.machine() not in EXIT, reason="the number of a system call is not known here")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
def test_a_process_is_alive_as_long_as_any_thread_of_it_holds_its_port(tmp_path: Path) -> None:
    """As a broker is that was killed: its first thread ends first, and what is started in its place finds no port."""
    process = _python(HEADLESS.format(exit=EXIT[platform.machine()]), tmp_path / "log")
    stat = Path(f"/proc/{process.pid}/stat")
    deadline = time.monotonic() + 20
    while ") Z " not in stat.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    port = int((tmp_path / "log").read_text().split()[0])
    assert not is_free(port)
    assert is_alive(process)
    send(process, signal.SIGKILL)
    assert wait_gone(process, 30)
    assert is_free(port)


def test_launch_gives_a_session_of_its_own_and_a_log(tmp_path: Path) -> None:
    process = _python(FOREVER, tmp_path / "a" / "log")
    assert os.getsid(process.pid) == process.pid
    assert (tmp_path / "a" / "log").read_text() == "up\n"
    assert is_alive(process)
    assert terminate(process, 10)
    assert not is_alive(process)
    assert not send(process, signal.SIGTERM)


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    process = _python(STUBBORN, tmp_path / "log")
    assert not terminate(process, 0.2)
    assert not is_alive(process)


def test_another_start_time_is_another_process() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_alive(me)
    assert not is_alive(ProcessId(me.pid, me.started + "0"))
    assert not send(ProcessId(me.pid, "earlier"), signal.SIGKILL)


def test_without_proc_ps_tells_the_start_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_BOOT_ID", tmp_path / "missing")
    process = _python(FOREVER, tmp_path / "log")
    assert process == identify(process.pid)
    assert is_alive(process)
    assert send(process, signal.SIGKILL)
    assert wait_gone(process, 10)
    assert identify(process.pid) is None


def test_a_program_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        launch([str(tmp_path / "nothing")], {}, tmp_path / "log")


def test_process_id_survives_json_and_distrusts_it() -> None:
    one = ProcessId(7, "x")
    assert ProcessId.from_json(one.to_json()) == one
    assert ProcessId.from_json({"pid": -1, "started": "x"}) is None
    assert ProcessId.from_json(None) is None
