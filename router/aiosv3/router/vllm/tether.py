"""Runs a command that must not outlive whoever started it, even where that is killed with -9.

    python -m aiosv3.router.vllm.tether COMMAND…

Its standard input is a pipe that nobody writes to: when it ends, or on SIGTERM, the command and all of its children get
SIGTERM, and SIGKILL after the seconds in ``AIOSV3_TETHER_GRACE``. Ends with the code of the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Final

GRACE: Final = "AIOSV3_TETHER_GRACE"
_USUAL_GRACE_S: Final = 20.0
_PR_SET_PDEATHSIG: Final = 1


def main(command: list[str]) -> int:
    """The exit code of ``command``; 128 + signal where one ended it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # No thread is running yet, so the child may set something up for itself before it is the command.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)  # noqa: S603, PLW1509
    threading.Thread(target=_until_alone, args=(stop,), daemon=True).start()
    threading.Thread(target=_reap, args=(child, stop), daemon=True).start()
    while not stop.wait(1.0):
        pass
    code = _end(child, float(os.environ.get(GRACE, _USUAL_GRACE_S)))
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _until_alone(stop: threading.Event) -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


def _reap(child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    child.wait()
    stop.set()


def _end(child: subprocess.Popen[bytes], grace: float) -> int:
    """The group gets its signals though the command itself has ended: its workers may hang on to a GPU."""
    _signal(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace)
    _signal(child.pid, signal.SIGKILL)
    return child.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
