"""What only an owner does: it says that a memory has expired, once, as an event; recalls are not on its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosv3.schemas.memory import MemoryAction

if TYPE_CHECKING:
    from tests.memory.conftest import Stage, Words


async def test_expiry_is_an_event(stage: Stage, words: type[Words]) -> None:
    stage.sweep = 0.02
    async with stage.memory() as memory:
        soon = stage.clock() + 200
        note = await stage.ask(words.remember("for a moment", "ada", expires_at=soon))
        await stage.ask(words.remember("for good", "ada"))
        await words.until(lambda: [one.action for _, one in stage.events()][-1] is MemoryAction.EXPIRE)
        await words.until(lambda: [entry.text for entry in memory.view.entries.values()] == ["for good"])
        expired = [event for _, event in stage.events() if event.action is MemoryAction.EXPIRE]
        assert {event.request_id for event in expired} == {f"expire/{note['id']}/{note['offset']}"}
        # The same again, later, is a memory again.
        await stage.ask(words.remember("for a moment", "ada"), sent=words.now + 1)
        await words.until(lambda: len(memory.view.entries) == 2)


async def test_a_recall_leaves_no_trace_on_the_memory_log(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        await stage.ask(words.remember("fact"))
        events = len(stage.events())
        for _ in range(3):
            stage.send(words.recall("fact"), request_id="again")
        await words.until(lambda: "again" in stage.answers())
        assert len(stage.events()) == events
