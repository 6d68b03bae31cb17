"""Real processes: nothing that was started may be left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

# A command with a child of its own that ignores SIGTERM, as a server's workers may. It says both ids.
_COMMAND = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1] + ".part", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(300)
"""


def _until(holds: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _started(ids: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    command = [sys.executable, "-m", "aiosv3.router.vllm.tether", sys.executable, "-c", _COMMAND, str(ids)]
    tether = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "AIOSV3_TETHER_GRACE": "0.2"})
    _until(ids.exists)
    return tether, [int(word) for word in ids.read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", ["the pipe ends", "SIGTERM"])
def test_the_command_and_its_children_end_with_whoever_started_them(tmp_path: Path, how: str) -> None:
    tether, ids = _started(tmp_path / "ids")
    assert all(map(_runs, ids))
    assert tether.stdin is not None
    if how == "SIGTERM":
        tether.send_signal(signal.SIGTERM)
    else:
        tether.stdin.close()
    assert tether.wait(30) == 128 + signal.SIGTERM
    _until(lambda: not any(map(_runs, ids)))
    tether.stdin.close()


def test_its_code_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "aiosv3.router.vllm.tether", sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as tether:
        assert tether.wait(30) == 7
