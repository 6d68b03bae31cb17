"""The contract of hot state: in this process, and on a real Redis where the machine has one."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.app.localstack.ports import LOOPBACK, answers, free_port
from aiosv3.app.localstack.processes import ProcessId, launch, terminate
from aiosv3.memory.hot import Add, Delete, Fenced, Hot, HotState, HotUnavailable, Keep, Mark, Place, Push, Step
from aiosv3.memory.hot.inmemory import InMemoryHotState
from aiosv3.memory.hot.redis import RedisHotState

DEADLINE_S: Final = 30.0
HERE: Final = Place("acme", "session-1")
pytestmark = pytest.mark.xdist_group("redis")


@dataclass(frozen=True, slots=True)
class RedisServer:
    process: ProcessId
    url: str


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = started(tmp_path_factory.mktemp("redis"))
    yield server
    terminate(server.process, 5.0)


def started(folder: Path) -> RedisServer:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("NO REDIS, so hot state on it is not tested: install redis-server")
    port, log = free_port(), folder / "redis.log"
    options = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = launch([binary, *options], os.environ, log)
    end = time.monotonic() + DEADLINE_S
    while not answers(port, 0.1):
        assert time.monotonic() < end, f"Redis did not start: {log.read_text(encoding='utf-8')[-2000:]}"
    return RedisServer(process, f"redis://{LOOPBACK}:{port}/0")


Opened = Callable[..., HotState]


@pytest.fixture(params=["memory", "redis"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    """Opens stores of the same data; with a time to live."""
    made: list[HotState] = []
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    prefix = uuid4().hex

    def open_(live: float = 3600.0) -> HotState:
        if not url and made:
            return made[0]
        made.append(RedisHotState(url, live, DEADLINE_S, prefix) if url else InMemoryHotState(live))
        return made[-1]

    yield open_
    for store in made:
        await store.close()


@pytest.fixture
def hot(opened: Opened) -> HotState:
    return opened()


async def test_what_is_written_is_read(hot: HotState) -> None:
    raw = bytes(range(256))
    steps: list[Step] = [Keep("plan", raw), Add("calls", 2), Add("calls", -5), Keep("", b""), Push("", b"x", 1)]
    steps += [Push("turns", f"turn {number}".encode(), 3) for number in range(5)]
    assert await hot.write(HERE, Mark(1, 1), steps)
    assert await hot.read(HERE) == Hot(
        {"plan": raw, "": b""}, {"turns": [b"turn 2", b"turn 3", b"turn 4"], "": [b"x"]}, {"calls": -3}
    )
    assert await hot.write(HERE, Mark(1, 2), [Delete("turns"), Delete("plan"), Delete("calls"), Delete("none")])
    assert await hot.read(HERE) == Hot({"": b""}, {"": [b"x"]}, {})


async def test_places_are_apart(hot: HotState) -> None:
    places = [HERE, Place("acme", "session-2"), Place("other", "session-1"), Place("acmes", "ession-1"), Place("", "")]
    for number, place in enumerate(places):
        await hot.write(place, Mark(1, 1), [Add("n", number + 1)])
    assert [(await hot.read(place)).counters["n"] for place in places] == [1, 2, 3, 4, 5]


async def test_a_step_counts_once_for_one_owner_and_the_next(hot: HotState) -> None:
    for mark in (Mark(1, 7), Mark(1, 7), Mark(1, 6), Mark(2, 7)):
        first = mark == Mark(1, 7) and (await hot.read(HERE)) == Hot()
        assert await hot.write(HERE, mark, [Add("n", 1), Push("w", b"x", 9)]) is first
    assert await hot.read(HERE) == Hot({}, {"w": [b"x"]}, {"n": 1})
    assert await hot.write(HERE, Mark(2, 8), [Add("n", 1)])


async def test_an_owner_that_has_lost_the_place_is_shut_out(hot: HotState) -> None:
    await hot.write(HERE, Mark(3, 5), [Keep("a", b"new")])
    for work in (hot.write(HERE, Mark(2, 9), [Keep("a", b"old")]), hot.drop(HERE, Mark(2, 9))):
        with pytest.raises(Fenced) as told:
            await work
        assert told.value.epoch == 3
    assert (await hot.read(HERE)).values == {"a": b"new"}


async def test_the_new_owner_shuts_the_old_one_out_with_its_first_step_even_if_that_was_done(hot: HotState) -> None:
    await hot.write(HERE, Mark(1, 5), [Add("n", 1)])
    assert not await hot.write(HERE, Mark(2, 5), [Add("n", 1)])
    with pytest.raises(Fenced):
        await hot.write(HERE, Mark(1, 6), [Add("n", 1)])
    assert (await hot.read(HERE)).counters == {"n": 1}


async def test_dropped_is_gone_and_the_old_owner_stays_shut_out(hot: HotState) -> None:
    await hot.write(HERE, Mark(2, 1), [Keep("a", b"x"), Push("w", b"x", 3), Add("n", 1)])
    assert await hot.drop(HERE, Mark(2, 2))
    assert not await hot.drop(HERE, Mark(2, 2))
    assert await hot.read(HERE) == Hot()
    with pytest.raises(Fenced):
        await hot.write(HERE, Mark(1, 9), [Keep("a", b"x")])
    assert await hot.write(HERE, Mark(2, 3), [Push("w", b"y", 3)])
    assert await hot.read(HERE) == Hot({}, {"w": [b"y"]}, {})


async def test_what_is_old_goes_by_itself_but_for_the_mark(opened: Opened) -> None:
    hot = opened(live=0.05)
    await hot.write(HERE, Mark(2, 1), [Keep("a", b"x"), Push("w", b"x", 3), Add("n", 1)])
    async with asyncio.timeout(DEADLINE_S):
        while await hot.read(HERE) != Hot():
            await asyncio.sleep(0.01)
    with pytest.raises(Fenced):
        await hot.write(HERE, Mark(1, 2), [Keep("a", b"y")])
    with pytest.raises(ValueError, match="at least"):
        Push("w", b"", 0)


async def test_two_owners_at_once(opened: Opened) -> None:
    """Whatever comes between: nothing of the old one counts after the first step of the new one."""
    old, new = opened(), opened()
    refused: list[int] = []

    async def write(store: HotState, epoch: int) -> None:
        for number in range(100):
            try:
                await store.write(HERE, Mark(epoch, 100 * epoch + number), [Push("w", str(epoch).encode(), 1000)])
            except Fenced:
                refused.append(epoch)
            await asyncio.sleep(0)

    await asyncio.gather(write(old, 1), write(new, 2))
    owners = (await new.read(HERE)).windows["w"]
    assert list(owners) == sorted(owners)
    assert len(owners) + len(refused) == 200
    assert set(refused) <= {1}


STEPS = st.one_of(
    st.builds(Keep, st.sampled_from("ab"), st.binary(max_size=3)),
    st.builds(Delete, st.sampled_from("ab")),
    st.builds(Push, st.sampled_from("ab"), st.binary(max_size=3), st.integers(1, 3)),
    st.builds(Add, st.sampled_from("ab"), st.integers(-9, 9)),
)
WRITES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.lists(STEPS, max_size=3)), max_size=12)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITES)
async def test_every_store_does_the_same(hot: HotState, writes: list[tuple[int, int, list[Step]]]) -> None:
    model, place = InMemoryHotState(3600.0), Place("acme", uuid4().hex)
    for epoch, sequence, steps in writes:
        told: list[object] = []
        for store in (model, hot):
            try:
                told.append(await store.write(place, Mark(epoch, sequence), steps))
            except Fenced as error:
                told.append(error.epoch)
        assert told[0] == told[1]
        assert await model.read(place) == await hot.read(place)


async def test_a_closed_store_says_so(hot: HotState) -> None:
    await hot.close()
    await hot.close()
    with pytest.raises(HotUnavailable):
        await hot.read(HERE)


async def test_a_redis_that_is_killed(tmp_path: Path) -> None:
    server = started(tmp_path)
    hot = RedisHotState(server.url, 60.0, timeout=2.0)
    await hot.write(HERE, Mark(1, 1), [Keep("a", b"x")])
    terminate(server.process, 0.0)
    for work in (hot.read(HERE), hot.write(HERE, Mark(1, 2), [])):
        with pytest.raises(HotUnavailable):
            await work
    await hot.close()
