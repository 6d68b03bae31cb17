from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aiosv3.app.localstack import stack
from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.news import News
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.stack import Stack
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_start_goes_on_while_anything_changes_or_a_process_that_starts_says_something(tmp_path: Path) -> None:
    clock, log = _Clock(), tmp_path / "pool.log"
    news = News(10.0, clock)
    pool = ProcessStatus("pool", ProcessState.WAITING, None, 0, 0.0, None, str(log))

    def see(one: ProcessStatus) -> bool:
        clock.now += 9.0
        news.see(StackStatus(Phase.STARTING, None, {}, (one,)))
        return news.too_old()

    assert not see(pool)
    pool = replace(pool, state=ProcessState.STARTING)
    assert not see(pool)
    for shard in range(3):
        log.write_text("x" * (shard + 1))
        assert not see(pool)
    clock.now += 1.0
    assert see(pool)
    assert not see(replace(pool, state=ProcessState.BACKOFF, since=5.0)), "it is news again"


def test_a_start_is_waited_for_as_long_as_there_is_news_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that take longer to load than any fixed time: ``up`` waits; what is silent is ended."""
    ended: list[object] = []
    monkeypatch.setattr(stack, "UP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(stack, "terminate", lambda process, _seconds: ended.append(process))
    me, log = identify(os.getpid()), tmp_path / "pool.log"
    assert me is not None
    pool = ProcessStatus("pool", ProcessState.STARTING, me, 0, 0.0, None, str(log))
    began = time.monotonic()

    def loading() -> StackStatus:
        took = time.monotonic() - began
        if took > 0.9:
            return StackStatus(Phase.READY, me, {}, ())
        log.write_text("x" * int(took * 20))
        return StackStatus(Phase.STARTING, me, {}, (pool,))

    made = Stack(tmp_path)
    monkeypatch.setattr(made, "status", loading)
    assert made._wait_ready(me).phase is Phase.READY
    monkeypatch.setattr(made, "status", lambda: StackStatus(Phase.STARTING, me, {}, (pool,)))
    with pytest.raises(LocalStackError, match="nothing new was heard of the start"):
        made._wait_ready(me)
    assert ended == [me]


def test_what_never_says_anything_is_too_old_in_time() -> None:
    clock = _Clock()
    news = News(10.0, clock)
    assert not news.too_old()
    clock.now = 10.0
    assert news.too_old()
