"""Storing sealed blocks: again until the store has them, once for each, and nothing after the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from aiosv3.agents import Context, Conversation
from aiosv3.agents.conversation import SEAL
from aiosv3.agents.worker.blocks import Blocks
from aiosv3.agents.worker.live import LiveTask
from aiosv3.streams.errors import ClaimsUnavailable
from aiosv3.streams.testing import MemoryClaims

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

LONG = "x" * (SEAL + 1)


class Counted(MemoryClaims):
    """Counts what is written; fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.puts: list[bytes] = []
        self.failures = failures

    async def put(self, content: bytes) -> str:
        self.puts.append(content)
        if self.failures:
            self.failures -= 1
            raise ClaimsUnavailable("away")
        return await super().put(content)


@dataclass
class Sealing:
    """As much of a live task as storing looks at."""

    id: str = "t"
    sealed: dict[str, bytes] = field(default_factory=dict)
    sending: int = 0

    @property
    def task(self) -> Sealing:
        return self

    @property
    def run(self) -> Sealing:
        return self

    def live(self) -> LiveTask:
        return cast("LiveTask", self)


def store(stage: Stage, blocks: Blocks, one: Sealing) -> None:
    stage.loop.call_soon(blocks.store, one.live())
    stage.settle()


def test_it_counts_as_sending_until_the_store_has_it(stage: Stage) -> None:
    claims, told = Counted(failures=2), list[int]()
    one = Sealing(sealed={"sha256:1": b"1", "sha256:2": b"2"})
    blocks = Blocks(claims, lambda live: told.append(live.sending))
    store(stage, blocks, one)
    assert (one.sending, told) == (1, []), "it waits for the store to come back"
    store(stage, blocks, one)
    assert one.sending == 1, "once at a time"
    stage.run(lambda: bool(told))
    assert (one.sending, told, one.sealed) == (0, [0], {})
    assert claims.puts == [b"1", b"1", b"1", b"2"]


def test_what_this_worker_has_stored_it_does_not_store_again(stage: Stage) -> None:
    claims = Counted()
    blocks = Blocks(claims, lambda live: None)
    for _ in range(2):
        store(stage, blocks, Sealing(sealed={"sha256:1": b"1"}))
    assert claims.puts == [b"1"]


def test_what_is_remembered_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.agents.worker.blocks._REMEMBERED", 2)
    blocks = Blocks(MemoryClaims(), lambda live: None)
    store(stage, blocks, Sealing(sealed={f"sha256:{number}": b"1" for number in range(5)}))
    assert list(blocks._known) == ["sha256:3", "sha256:4"]


def test_after_the_end_nothing_is_stored_or_told(stage: Stage) -> None:
    claims, told = Counted(failures=1), list[Any]()
    blocks = Blocks(claims, told.append)
    store(stage, blocks, Sealing(sealed={"sha256:1": b"1"}))
    stage.loop.call_soon(blocks.stop)
    stage.advance(5)
    assert (len(claims.puts), told) == (1, [])


def test_without_a_store_a_task_waits_instead_of_referring_to_nothing(stage: Stage) -> None:
    async def talks(ctx: Context, value: str) -> str:
        chat = Conversation()
        chat.append("user", value)
        return await ctx.generate(chat)

    worker = stage.worker(talks)
    object.__setattr__(worker.setup, "claims", None)
    worker.start()
    stage.task("t", LONG)
    stage.task("short", "hello")
    stage.advance(5)
    assert stage.asked() == ["short/1"]
