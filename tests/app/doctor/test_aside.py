from __future__ import annotations

import asyncio
import threading

import pytest

from aiosv3.app.doctor.aside import aside


async def test_it_returns_or_raises_what_the_work_does() -> None:
    assert await aside(lambda: 3) == 3
    with pytest.raises(ValueError, match="invalid literal"):
        await aside(lambda: int("none"))


async def test_work_that_hangs_holds_neither_the_loop_nor_the_end_of_the_process() -> None:
    release = threading.Event()
    waiting = asyncio.ensure_future(aside(release.wait))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    (thread,) = [one for one in threading.enumerate() if one.name == "aiosv3-doctor"]
    assert thread.daemon
    waiting.cancel()
    release.set()
    thread.join(30)
    assert not thread.is_alive()
