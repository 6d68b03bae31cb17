"""A view that is away: the newest memories answer, nothing is lost, and nothing that was forgotten is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from aiosv3.memory.views import (
    Change,
    Digest,
    Entry,
    Hit,
    PartialHits,
    Put,
    Query,
    Remove,
    VectorUnusable,
    ViewUnavailable,
)
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.fallback import FallbackView
from aiosv3.schemas.memory import MemoryPosition

if TYPE_CHECKING:
    from tests.memory.conftest import Stage, Words

DEADLINE_S: Final = 30.0
NEWEST: Final = 3


class Remote:
    """An embedded view behind a line that can be cut, or held."""

    def __init__(self) -> None:
        self.view = EmbeddedView()
        self.cut = False
        self.error: Exception = ViewUnavailable("cut")
        self.free = asyncio.Event()
        self.free.set()
        self.asked: list[str] = []

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._line("apply")
        await self.view.apply(changes)

    async def search(self, query: Query) -> list[Hit]:
        await self._line("search")
        return await self.view.search(query)

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        await self._line("get")
        return await self.view.get(tenant, ids)

    async def digest(self, tenant: str) -> Digest:
        await self._line("digest")
        return await self.view.digest(tenant)

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        await self._line("purge")
        return await self.view.purge(tenant, subject=subject, ids=ids)

    async def close(self) -> None:
        await self.view.close()

    async def _line(self, what: str) -> None:
        self.asked.append(what)
        if self.cut:
            raise self.error
        await self.free.wait()


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
async def view(remote: Remote) -> AsyncIterator[FallbackView]:
    made = FallbackView(remote, EmbeddedView(), NEWEST, retry=0.001)
    yield made
    await made.close()


def make(id_: str, text: str = "tea", version: int = 1, subject: str | None = None) -> Entry:
    return Entry(id_, version, "acme", "tenant", "fact", text, 0, 0, f"{id_}/{version}", subject=subject)


def asked(text: str = "tea", k: int = 10) -> Query:
    return Query("acme", ["tenant"], text, k=k)


async def ids(view: FallbackView, text: str = "tea") -> list[str]:
    return sorted(hit.entry.id for hit in await view.search(asked(text)))


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not met():
            await asyncio.sleep(0.001)


async def back(view: FallbackView, remote: Remote) -> None:
    remote.cut = False
    await until(lambda: view.trouble is None)


async def test_while_the_view_is_there_it_answers(view: FallbackView) -> None:
    await view.apply([Put(make(f"m{number}")) for number in range(9)])
    hits = await view.search(asked())
    assert (len(hits), isinstance(hits, PartialHits)) == (9, False)
    assert [entry.id for entry in await view.get("acme", ["m0"])] == ["m0"]
    assert (await view.digest("acme")).count == 9


async def test_while_it_is_away_the_newest_answer_and_say_so(view: FallbackView, remote: Remote) -> None:
    await view.apply([Put(make(f"m{number}")) for number in range(5)])
    remote.cut = True
    hits = await view.search(asked())
    assert isinstance(hits, PartialHits)
    assert sorted(hit.entry.id for hit in hits) == ["m2", "m3", "m4"]
    await view.apply([Put(make("m5")), Put(make("m2", version=2))])
    assert await ids(view) == ["m2", "m4", "m5"], "the newest by when they came"
    assert [entry.id for entry in await view.get("acme", ["m0", "m5"])] == ["m5"]
    with pytest.raises(ViewUnavailable):
        await view.digest("acme")


async def test_nothing_that_came_meanwhile_is_lost(view: FallbackView, remote: Remote) -> None:
    await view.apply([Put(make("a")), Put(make("b"))])
    remote.cut = True
    for number in range(20):
        await view.apply([Put(make(f"m{number}"))])
    await view.apply([Remove("acme", "a", 2), Put(make("b", "water", version=2))])
    await back(view, remote)
    assert not isinstance(await view.search(asked()), PartialHits)
    assert await view.digest("acme") == await remote.view.digest("acme")
    assert (await view.digest("acme")).count == 21
    assert await ids(view, "water") == ["b"]
    await view.apply([Put(make("a", version=2))])
    assert "a" not in [entry.id for entry in await view.get("acme", ["a"])]


async def test_until_all_is_written_the_newest_answer(view: FallbackView, remote: Remote) -> None:
    """The view is back, and still has what was forgotten while it was away."""
    await view.apply([Put(make("secret"))])
    remote.cut = True
    await view.apply([Remove("acme", "secret", 2)])
    remote.free.clear()
    remote.cut = False
    seen = len(remote.asked)
    await until(lambda: len(remote.asked) > seen)
    assert await ids(view) == []
    await view.apply([Put(make("late"))])
    remote.free.set()
    await until(lambda: view.trouble is None)
    assert await ids(view) == ["late"]


async def test_what_is_purged_while_the_view_is_away(view: FallbackView, remote: Remote) -> None:
    await view.apply([Put(make("a", subject="s")), Put(make("b", subject="s"))])
    remote.cut = True
    await view.apply([Put(make("c", subject="s")), Put(make("d"))])
    assert await view.purge("acme", subject="s") > 0
    await view.purge("acme", ids=["d"])
    await view.apply([Put(make("b", version=2, subject="s"))])
    assert await ids(view) == ["b"]
    await back(view, remote)
    assert await ids(view) == ["b"]
    await view.apply([Put(make("c", subject="s")), Put(make("d"))])
    assert await ids(view) == ["b"], "late writes of what was purged"


async def test_what_changes_while_it_is_handed_over(view: FallbackView, remote: Remote) -> None:
    remote.cut = True
    await view.apply([Put(make("a", "tea", version=1, subject="s")), Put(make("b", "tea", version=1, subject="s"))])
    remote.free.clear()
    remote.cut = False
    await until(lambda: remote.asked[-2:] == ["apply", "apply"])
    await view.apply([Put(make("a", "tea and milk", version=2))])
    await view.purge("acme", subject="s")
    remote.free.set()
    await until(lambda: view.trouble is None)
    assert [entry.version for entry in await view.get("acme", ["a", "b"])] == [2]
    assert (await view.digest("acme")).count == 1


async def test_the_last_turns_of_a_conversation_need_no_server(view: FallbackView, remote: Remote) -> None:
    """As long as the newest memories surely have them: whole answers then, and the server is not asked."""

    async def window(k: int, **conditions: Any) -> tuple[list[str], bool]:
        hits = await view.search(Query("acme", ["tenant"], sources=["chat"], k=k, **conditions))
        return [hit.entry.id for hit in hits], isinstance(hits, PartialHits)

    def turn(position: int, version: int = 1) -> Put:
        return Put(
            replace(make(f"t{position}", version=version), source="chat", valid_from=position // 2, position=position)
        )

    await view.apply([turn(0), turn(1)])
    asked_before = list(remote.asked)
    assert await window(5) == (["t1", "t0"], False)
    await view.apply([turn(3), turn(2)])
    assert await window(3) == (["t3", "t2", "t1"], False), "t0 has left, which is below"
    remote.cut = True
    assert await window(2) == (["t3", "t2"], False)
    await view.apply([Remove("acme", "t2", 2)])
    assert await window(2) == (["t3", "t1"], False)
    assert [what for what in remote.asked[len(asked_before) :] if what == "search"] == []
    assert await window(3) == (["t3", "t1"], True), "there may be more than the newest memories have"
    assert await window(2, kinds=["chunk"]) == ([], True)
    await back(view, remote)
    assert await window(3) == (["t3", "t1", "t0"], False)
    await view.apply([Put(make(f"m{number}")) for number in range(NEWEST)])
    assert await window(1) == (["t3"], False), "from the server: the newest memories have none of them"
    assert remote.asked[-1] == "search"


async def test_what_waits_is_bounded(remote: Remote) -> None:
    view = FallbackView(remote, EmbeddedView(), NEWEST, retry=0.001, waiting=4)
    remote.cut = True
    await view.apply([Put(make("a")), Put(make("b"))])
    await view.apply([Put(make("a", version=2)), Put(make("c"))])
    await view.purge("acme", ids=["c"])
    with pytest.raises(ViewUnavailable, match="4 changes wait"):
        await view.apply([Put(make("d", subject="s"))])
    assert "d" in await ids(view), "the newest is found all the same"
    with pytest.raises(ViewUnavailable):
        await view.purge("acme", subject="s")
    assert "d" not in await ids(view), "and what is forgotten is not"
    await back(view, remote)
    await view.apply([Put(make("d", subject="s"))])
    assert await view.purge("acme", subject="s") == 1
    assert (await ids(view), (await view.digest("acme")).count) == (["a", "b"], 2)
    await view.close()


async def test_the_log_keeps_what_is_not_held(stage: Stage, words: type[Words]) -> None:
    """While the view is away its worker reads no further than it may hold; then all of it is there."""
    async with stage.memory() as memory:
        feed = memory.feed
        view = feed.applier.view = FallbackView(memory.view, EmbeddedView(), NEWEST, retry=0.001, waiting=5)
        memory.view.trouble = ViewUnavailable("gone fishing")
        for number in range(30):
            await stage.ask(words.remember(f"fact {number}", f"subject {number}"))
        await until(lambda: feed.applier.trouble is not None and feed.lag() > 0)
        assert len(view._backlog) < 15, "what may wait, and what was taken in one batch with it"
        found = await stage.ask(words.recall("fact"))
        assert (found["degraded"], found["lag"] > 0) == (True, True)
        memory.view.trouble = None
        assert await feed.reach({one.partition: one.offset for one in stage.known()}, DEADLINE_S)
        await until(lambda: view.trouble is None)
        whole = await stage.ask(words.recall("fact", k=50))
        await view.close()
    assert (len(whole["memories"]), whole["degraded"]) == (30, False)


async def test_a_defect_is_no_outage(view: FallbackView, remote: Remote) -> None:
    remote.cut, remote.error = True, VectorUnusable("another length")
    with pytest.raises(VectorUnusable):
        await view.apply([Put(make("a"))])
    remote.error = ViewUnavailable("cut")
    await view.apply([Put(make("a"))])
    remote.error = VectorUnusable("another length")

    async def told() -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await view.search(asked())
                await asyncio.sleep(0.001)

    with pytest.raises(VectorUnusable):
        await told()


async def test_closing_ends_the_waiting(remote: Remote) -> None:
    made = FallbackView(remote, EmbeddedView(), NEWEST, retry=60.0)
    remote.cut = True
    await made.apply([Put(make("a"))])
    await made.close()
    await made.close()
    with pytest.raises(ViewUnavailable):
        await made.search(asked())


async def test_a_recall_is_answered_and_says_that_it_is_degraded(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        view = FallbackView(memory.view, EmbeddedView(), NEWEST, retry=0.001)
        memory.feed.applier.view = view
        await stage.ask(words.remember("blue sky"))
        before = await stage.ask(words.recall("sky", positions=stage.known()))
        memory.view.trouble = ViewUnavailable("gone fishing")
        note = await stage.ask(words.remember("sky at night"))
        written = MemoryPosition(note["partition"], note["offset"])
        away = await stage.ask(words.recall("sky", positions=(written,)))
        memory.view.trouble = None
        await until(lambda: view.trouble is None)
        after = await stage.ask(words.recall("sky"))
        await view.close()
    assert [found["degraded"] for found in (before, away, after)] == [False, True, False]
    assert [len(found["memories"]) for found in (before, away, after)] == [1, 2, 2]
