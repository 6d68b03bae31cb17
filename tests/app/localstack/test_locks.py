from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import LockTimeout
from aiosv3.app.localstack.locks import exclusive

pytestmark = pytest.mark.process


def _hold(path: Path, held: Event, over: Event) -> None:
    with exclusive(path, 10):
        held.set()
        over.wait(30)


def test_a_lock_is_held_against_other_processes_and_freed_by_death(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, over = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "lock", held, over))
    other.start()
    assert held.wait(30)
    with pytest.raises(LockTimeout, match="held by another process"), exclusive(tmp_path / "lock", 0.1):
        pass
    other.kill()
    with exclusive(tmp_path / "lock", 20):
        pass
    other.join()
    other.close()
