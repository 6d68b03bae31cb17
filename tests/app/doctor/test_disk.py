from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.doctor import Level, disk

_GIB = 1 << 30


@pytest.mark.parametrize(("free", "level"), [(5 * _GIB, "ok"), (_GIB // 2, "warning"), (1 << 20, "failed")])
def test_room_is_judged(free: int, level: str) -> None:
    assert disk.judged(Path("s"), free).level == level


async def test_a_folder_that_is_not_there_yet_is_where_it_would_be_made(case_of: Any, tmp_path: Path) -> None:
    (found,) = await disk.check(case_of("state = 'a/b/c'"))
    assert f"GiB free for {tmp_path / 'a/b/c'}" in found.message


async def test_a_folder_of_somebody_else_fails(case_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = await disk.check(case_of())
    assert (found.level, "cannot be written" in found.message) == (Level.FAILED, True)
