from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aiosv3.router.routing.fairness import FairTurns, Turn


async def order(turns: FairTurns, wanted: list[tuple[str, Turn]]) -> list[str]:
    """The names in the order in which they get a turn, one at a time, all asked for at once."""
    served: list[str] = []
    go = asyncio.Event()

    async def hold() -> None:
        async with turns.turn(Turn("holder")):
            await go.wait()

    async def ask(name: str, turn: Turn) -> None:
        async with turns.turn(turn):
            served.append(name)
            await asyncio.sleep(0)

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    asking = [asyncio.create_task(ask(name, turn)) for name, turn in wanted]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(holder, *asking)
    return served


def even(_tenant: str) -> float:
    return 1.0


async def test_a_flood_of_one_tenant_does_not_hold_up_another() -> None:
    flood = [("a", Turn("a")) for _ in range(50)]
    served = await order(FairTurns(1, even), [*flood, ("b", Turn("b")), ("b", Turn("b"))])
    assert served.index("b") <= 1
    assert served.count("b") == len([name for name in served[:4] if name == "b"]) == 2


async def test_weights_are_parts_of_the_pool() -> None:
    wanted = [("a", Turn("a")) for _ in range(60)] + [("b", Turn("b")) for _ in range(60)]
    served = await order(FairTurns(1, lambda tenant: 3.0 if tenant == "a" else 1.0), wanted)
    assert Counter(served[:40])["a"] == pytest.approx(30, abs=1)


async def test_who_asks_for_more_gets_fewer_turns() -> None:
    wanted = [("big", Turn("big", cost=300)) for _ in range(40)] + [
        ("small", Turn("small", cost=100)) for _ in range(40)
    ]
    served = await order(FairTurns(1, even), wanted)
    assert Counter(served[:40])["small"] == pytest.approx(30, abs=1)


async def test_priority_and_deadline_order_the_turns_of_one_tenant() -> None:
    wanted = [
        ("late", Turn("a", priority=5)),
        ("no end", Turn("a", priority=1)),
        ("soon", Turn("a", priority=1, ends=100)),
        ("first", Turn("a", priority=0)),
    ]
    assert await order(FairTurns(1, even), wanted) == ["first", "soon", "no end", "late"]


async def test_nobody_saves_up_turns_by_staying_away() -> None:
    turns = FairTurns(1, even)
    await order(turns, [("a", Turn("a")) for _ in range(100)])
    served = await order(turns, [("b", Turn("b")) for _ in range(20)] + [("a", Turn("a")) for _ in range(20)])
    assert Counter(served[:20])["a"] == pytest.approx(10, abs=1)


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    turns = FairTurns(1, even)
    async with turns.turn(Turn("a")):
        gone = asyncio.create_task(turns.turn(Turn("b")).__aenter__())
        await asyncio.sleep(0)
        assert turns.waiting == 1
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(5), turns.turn(Turn("c")):
        pass


async def test_a_turn_that_came_to_somebody_who_just_left_goes_on() -> None:
    turns = FairTurns(1, even)
    first = turns.turn(Turn("a"))
    await first.__aenter__()
    gone = asyncio.create_task(turns.turn(Turn("b")).__aenter__())
    await asyncio.sleep(0)
    await first.__aexit__(None, None, None)  # its turn has come ...
    gone.cancel()  # ... and it leaves before it knows
    await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(5), turns.turn(Turn("c")):
        pass


async def test_no_more_at_once_than_there_are_slots() -> None:
    turns, most, now = FairTurns(3, even), 0, 0

    async def work(tenant: str) -> None:
        nonlocal most, now
        async with turns.turn(Turn(tenant)):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(work(str(number % 4)) for number in range(40)))
    assert most == 3


async def test_lines_of_tenants_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.router.routing.fairness._LINES_KEPT", 10)
    turns = FairTurns(2, even)
    async with turns.turn(Turn("long", cost=1)):
        for number in range(100):
            async with turns.turn(Turn("busy", cost=number)):
                pass
            async with turns.turn(Turn(str(number), cost=1)):
                pass
        assert len(turns._lines) <= 20
    assert len(turns._lines) == 0
