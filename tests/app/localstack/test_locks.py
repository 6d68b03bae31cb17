from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import LockTimeout
from aiosv3.app.localstack.locks import exclusive

pytestmark = pytest.mark.process

HOLD = """
import signal, sys
from pathlib import Path
from aiosv3.app.localstack.locks import exclusive
with exclusive(Path(sys.argv[1]), 10):
    print("held", flush=True)
    signal.pause()
"""


def test_a_lock_is_held_against_other_processes_and_freed_by_death(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        waits: list[str] = []
        with (
            pytest.raises(LockTimeout, match="held by another process"),
            exclusive(tmp_path / "lock", 0.1, lambda: waits.append("once")),
        ):
            pass
        assert waits == ["once"]
        other.kill()
        with exclusive(tmp_path / "lock", 20):
            pass
    with exclusive(tmp_path / "lock", 20, lambda: waits.append("free")):
        assert waits == ["once"]
