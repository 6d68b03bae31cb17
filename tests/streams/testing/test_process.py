"""A simulated process is asked for work only when it has some, and never while it is paused or gone."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import Faults, Noise, Process, ProcessContext, Simulation

QUIET = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)


def outgoing(number: int) -> Outgoing:
    return Outgoing("t", 0, b"k", b"%d" % number, [])


async def sleeper(process: ProcessContext) -> None:
    for _ in range(3):
        await asyncio.sleep(1.0)
        process.process.simulation.note(process.name, "woke", "")


@pytest.fixture
def sim() -> Simulation:
    return Simulation(1, QUIET)


def woke(sim: Simulation) -> list[float]:
    return [round(event.time) for event in sim.history if event.what == "woke"]


def ready(sim: Simulation) -> list[Process]:
    return [process for process in sim.processes if process.deterministic in sim.ready]


def test_it_is_listed_while_it_has_something_to_run(sim: Simulation) -> None:
    with sim:
        process = sim.spawn("p", sleeper)
        assert ready(sim) == [process]
        sim.run(until=lambda: not sim.ready)
        assert ready(sim) == []
        sim.run()
        assert woke(sim) == [1, 2, 3]
        assert not process.running


def test_a_paused_one_runs_nothing_until_it_is_resumed(sim: Simulation) -> None:
    with sim:
        process = sim.spawn("p", sleeper)
        sim.run(until=lambda: woke(sim) == [1])
        process.pause()
        process.deterministic.call_soon(lambda: sim.note("p", "ran", ""))
        sim.network.later(5.0, process.resume)
        sim.run(until=lambda: sim.now > 4, max_time=4)
        assert ready(sim) == []
        sim.run()
        assert woke(sim) == [1, 6, 7]
        assert next(event.time for event in sim.history if event.what == "ran") >= 5


def test_a_killed_one_is_not_asked_any_more(sim: Simulation) -> None:
    with sim:
        process = sim.spawn("p", sleeper)
        process.kill()
        assert ready(sim) == []
        assert not sim.run(until=lambda: bool(woke(sim)), max_time=10)


def test_a_timer_that_was_cancelled_wakes_nobody(sim: Simulation) -> None:
    async def main(process: ProcessContext) -> None:
        asyncio.get_running_loop().call_later(1.0, lambda: process.process.simulation.note("p", "woke", "")).cancel()
        await asyncio.sleep(2.0)

    with sim:
        process = sim.spawn("p", main)
        sim.run()
        assert (woke(sim), process.running) == ([], False)


def test_what_is_drawn_from_the_global_generator_is_the_seed_s() -> None:
    def drawn(seed: int) -> list[float]:
        found: list[float] = []

        async def main(_process: ProcessContext) -> None:
            found.append(random.random())

        with Simulation(seed, QUIET) as sim:
            sim.spawn("p", main)
            sim.run()
        return found

    before = random.getstate()
    assert drawn(1) == drawn(1) != drawn(2)
    assert random.getstate() == before


def test_a_crash_comes_right_behind_a_record() -> None:
    async def writer(process: ProcessContext) -> None:
        for number in range(60):
            process.log.append(outgoing(number), lambda _ack: None)
            await asyncio.sleep(0.1)

    with Simulation(3, QUIET) as sim:
        sim.broker.create_topic("t", 1)
        sim.spawn("w", writer)
        sim.plan(Faults(crashes=1), within=0.5)
        sim.run(until=lambda: any(event.what == "killed" for event in sim.history), max_time=20)
        told = [event.what for event in sim.history]
        assert told[told.index("killed") - 1] == "append"


def test_a_crash_spares_what_does_not_matter() -> None:
    async def writer(process: ProcessContext) -> None:
        process.log.append(outgoing(0), lambda _ack: None)
        await asyncio.sleep(1.0)

    with Simulation(3, QUIET) as sim:
        sim.broker.create_topic("t", 1)
        sim.fateful = lambda place: not place.startswith("t[")
        sim.plan(Faults(crashes=5), within=0.0)
        for _ in range(40):
            sim.spawn("w", writer)
        sim.run(max_time=5)
        assert not [event for event in sim.history if event.what == "killed"]


def test_an_append_may_get_lost_on_its_way() -> None:
    landed: list[Any] = []

    async def writer(process: ProcessContext) -> None:
        process.log.append(outgoing(0), landed.append)
        await asyncio.sleep(60.0)

    with Simulation(1, Noise(slow_share=0.0, lost_appends=1.0)) as sim:
        sim.broker.create_topic("t", 1)
        sim.spawn("w", writer)
        sim.run(max_time=100)
        assert not sim.broker.records("t")
        assert [type(ack).__name__ for ack in landed] == ["AppendUnknown"]


def test_a_fault_that_is_left_out_leaves_the_others_when_they_were() -> None:
    def strikes(without: set[int]) -> list[float]:
        with Simulation(5, QUIET) as sim:
            sim.plan(Faults(outages=3), within=10.0, without=without)
            sim.run(max_time=20)
            return [event.time for event in sim.history if event.what == "outage"]

    whole = sorted(strikes(set()))
    assert len(whole) == 3
    assert set(strikes({1})) < {*whole}
    assert len(strikes({1})) == 2
