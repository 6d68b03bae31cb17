from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from aiosv3.app.localstack.processes import ProcessId, exit_status, identify, is_alive, launch, send, wait_gone
from aiosv3.app.localstack.specs import ProcessSpec, save_specs
from aiosv3.app.localstack.status import Phase, StackStatus, read_status
from aiosv3.app.localstack.supervisor import stop_orphans

pytestmark = pytest.mark.process

FOREVER = "import signal; signal.pause()"


def test_the_supervisor_as_a_process_drains_on_sigterm_and_leaves_orphans_when_killed(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", FOREVER)
    save_specs(tmp_path, [ProcessSpec("a", argv, tmp_path / "a.log")], {"kafka": "k"})
    for number, left in ((signal.SIGTERM, Phase.STOPPED), (signal.SIGKILL, Phase.LOST)):
        supervisor = launch(_program(tmp_path), os.environ, tmp_path / "s.log")
        status = _wait(tmp_path, supervisor)
        child = status.processes[0].process
        assert child is not None
        assert send(supervisor, number)
        assert wait_gone(supervisor, 30)
        after = read_status(tmp_path)
        assert after is not None
        assert after.phase is left
        assert is_alive(child) == (left is Phase.LOST)
        assert stop_orphans(after) == (["a"] if left is Phase.LOST else [])
        assert identify(child.pid) != child
    assert json.loads((tmp_path / "state.json").read_text())["addresses"] == {"kafka": "k"}


def test_a_stack_whose_folder_is_deleted_ends(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    save_specs(folder, [ProcessSpec("a", (sys.executable, "-c", FOREVER), tmp_path / "a.log")], {})
    supervisor = launch(_program(folder), os.environ, folder / "s.log")
    child = _wait(folder, supervisor).processes[0].process
    assert child is not None
    shutil.rmtree(folder)
    assert wait_gone(supervisor, 30)
    assert not is_alive(child)
    assert not folder.exists()


def _wait(folder: Path, supervisor: ProcessId) -> StackStatus:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = read_status(folder)
        if status is not None and status.supervisor == supervisor and status.phase is Phase.READY:
            return status
    raise AssertionError((folder / "s.log").read_text())


def test_a_start_that_fails_is_an_exit_code_and_a_reason(tmp_path: Path) -> None:
    save_specs(tmp_path, [ProcessSpec("ghost", (str(tmp_path / "ghost"),), tmp_path / "g.log")], {})
    log = tmp_path / "s.log"
    process = launch(_program(tmp_path), os.environ, log)
    deadline = time.monotonic() + 30
    while (code := exit_status(process.pid)) is None and time.monotonic() < deadline:
        pass
    assert code == 1
    assert "ghost cannot be started" in log.read_text()
    status = read_status(tmp_path)
    assert status is not None
    assert status.phase is Phase.FAILED


def _program(folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "aiosv3.app.localstack.supervise", "--folder", str(folder))
