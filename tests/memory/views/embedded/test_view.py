"""The embedded view beyond the contract: its thread, and what a purge leaves in memory."""

from __future__ import annotations

import asyncio
import gc

from aiosv3.memory.views import Entry, Put, Query
from aiosv3.memory.views.embedded import EmbeddedView


def make(number: int, text: str) -> Entry:
    return Entry(
        id=f"m{number}",
        version=1,
        tenant="t",
        scope="tenant",
        kind="fact",
        text=text,
        valid_from=0,
        recorded_at=0,
        content_hash=text,
        subject="ada",
        source="chat",
        position=number,
    )


async def test_the_event_loop_goes_on_meanwhile() -> None:
    view = EmbeddedView()
    turns = 0
    work = asyncio.ensure_future(view.apply([Put(make(number, f"tea {number}")) for number in range(3000)]))
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    assert len(await view.search(Query(tenant="t", scopes=["tenant"], text="tea"))) == 10
    await view.close()


async def test_a_purge_leaves_no_word_of_it_in_memory() -> None:
    view = EmbeddedView()
    await view.apply([Put(make(number, f"zanzibar{number}") if number else make(0, "plain")) for number in range(5)])
    assert await view.purge("t", subject="ada") == 5
    gc.collect()
    left = [text for text in _strings(view) if "zanzibar" in text or text == "chat"]
    assert left == []
    await view.close()


def _strings(root: object) -> list[str]:
    """All strings that can be reached from the view's own objects."""
    seen: set[int] = set()
    waiting: list[object] = [root]
    found = []
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set):
            waiting += each
        elif type(each).__module__.startswith("aiosv3.memory"):
            waiting.append(getattr(each, "__dict__", {}))
            waiting += [getattr(each, name) for name in getattr(type(each), "__slots__", ()) if hasattr(each, name)]
    return found
