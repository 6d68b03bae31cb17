"""A lock between processes on this machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiosv3.app.localstack.errors import LockTimeout

_POLL_S = 0.05


@contextmanager
def exclusive(path: Path, timeout_s: float, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold ``path`` alone. The kernel lets go when the holder dies, so a crash never blocks the next one.

    ``on_wait`` is called once where somebody else holds it now. Raises ``LockTimeout`` after ``timeout_s`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try(descriptor):
            if on_wait is not None:
                on_wait()
            _acquire(descriptor, path, timeout_s)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise LockTimeout(
                f"{path} has been held by another process for {timeout_s:.0f} s: wait for it to finish, "
                f"or stop it (`lsof {path}` names it)"
            )
        time.sleep(_POLL_S)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
