from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from aiosv3.app.localstack import processes
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive, launch, send, terminate, wait_gone

pytestmark = pytest.mark.process

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile 1: signal.pause()"
)


def _python(code: str, log: Path) -> ProcessId:
    process = launch([sys.executable, "-c", code], os.environ, log)
    deadline = time.monotonic() + 20
    while "up\n" not in log.read_text() and time.monotonic() < deadline:
        pass
    return process


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
