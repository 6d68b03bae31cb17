"""The simulator: one seed is one run, and its faults are those of the protocol."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

import aiosv3.streams.testing as package
from aiosv3.streams.errors import AppendUnknown
from aiosv3.streams.log import Committed, Outgoing, Record, Start
from aiosv3.streams.testing import Faults, Noise, Process, ProcessContext, ProcessFailed, Simulation
from aiosv3.streams.testing.chaos import QUIET

ALL_FAULTS = Faults(kills=2, pauses=2, cuts=1, expulsions=1, rebalances=2, jumps=2, outages=1)


class Copier:
    """Copies ``in`` to ``out``, at least once: commits what was acknowledged without a gap."""

    def __init__(self, process: ProcessContext) -> None:
        self.process = process
        self.member = process.member("copiers", "in")
        self.base: dict[int, int] = {}
        self.next: dict[int, int] = {}

    async def run(self) -> None:
        await self.member.join(self)
        while True:
            await asyncio.sleep(0.5)
            for partition in sorted(self.base):
                if partition in self.base:
                    await self.member.commit(partition, Committed(self.base[partition], ""))

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start:
        return Start(committed.offset if committed else input_start)

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        assert start is not None
        assert partition not in self.base
        self.base[partition] = self.next[partition] = start.input

    def records(self, records: Sequence[Record]) -> None:
        for record in records:
            assert record.offset == self.next[record.partition], "no gap, no repetition within one assignment"
            self.next[record.partition] += 1
            self.copy(record)

    def copy(self, record: Record) -> None:
        def done(outcome: object) -> None:
            if isinstance(outcome, AppendUnknown):
                self.copy(record)
            elif self.base.get(record.partition) == record.offset:
                self.base[record.partition] += 1

        self.process.log.append(Outgoing("out", record.partition, record.key, record.value, []), done)

    def revoked(self, partition: int) -> Committed | None:
        del self.next[partition]
        return Committed(self.base.pop(partition), "last")

    def lost(self, partition: int) -> None:
        del self.next[partition], self.base[partition]


async def copy(process: ProcessContext) -> None:
    await Copier(process).run()


def world(seed: int, noise: Noise | None = None) -> Simulation:
    sim = Simulation(seed, noise)
    sim.broker.create_topic("in", 3)
    sim.broker.create_topic("out", 3)
    for name in ("one", "two"):
        sim.spawn(name, copy)
    for i in range(12):
        at = i * 1.5
        sim.network.later(at, lambda i=i: _arrive(sim, i))  # type: ignore[misc]
    return sim


def _arrive(sim: Simulation, i: int) -> None:
    sim.broker.append(Outgoing("in", i % 3, str(i).encode(), str(i).encode(), []))


def copied(sim: Simulation) -> bool:
    return sim.now > 20 and {r.value for r in sim.broker.records("out")} == {str(i).encode() for i in range(12)}


@pytest.mark.parametrize("seed", range(25))
def test_production_code_survives_every_kind_of_fault(seed: int) -> None:
    with world(seed) as sim:
        sim.plan(ALL_FAULTS, within=20.0)
        assert sim.run(lambda: copied(sim), max_time=200.0), sim


def test_every_kind_of_fault_happens() -> None:
    seen: Counter[str] = Counter()
    for seed in range(12):
        with world(seed) as sim:
            sim.plan(ALL_FAULTS, within=20.0)
            sim.run(lambda: copied(sim), max_time=200.0)
            seen.update(event.what for event in sim.history)
    wanted = {"killed", "paused", "resumed", "cut", "rebalance", "clock jumps", "outage", "lost", "commit refused"}
    assert wanted <= set(seen)


def history(seed: int) -> str:
    with world(seed) as sim:
        sim.plan(ALL_FAULTS, within=20.0)
        sim.run(lambda: copied(sim), max_time=200.0)
        return str(sim)


def test_one_seed_is_one_run_and_another_seed_another() -> None:
    assert history(5) == history(5)
    assert history(5) != history(6)


def test_a_run_does_not_depend_on_hash_randomisation() -> None:
    program = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('m', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(module.history(3))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 1000


def test_time_is_virtual_and_skips_to_the_next_timer() -> None:
    async def sleep(process: ProcessContext) -> None:
        await asyncio.sleep(3600)

    with Simulation(1, QUIET) as sim:
        process = sim.spawn("sleeper", sleep)
        assert not sim.run(max_time=10.0)
        assert sim.now == 10.0
        assert sim.run(lambda: not process.running, max_time=4000.0)
        assert 3600 <= sim.now < 3601


def test_what_a_process_raises_ends_the_run_unless_it_is_tolerant() -> None:
    async def fail(process: ProcessContext) -> None:
        await asyncio.sleep(1)
        raise ValueError("broken")

    with Simulation(1) as sim:
        sim.spawn("bad", fail)
        with pytest.raises(ProcessFailed, match=r"bad \(seed 1\)") as caught:
            sim.run()
        assert isinstance(caught.value.__cause__, ValueError)
    with Simulation(1) as sim:
        process = sim.spawn("bad", fail, tolerant=True)
        sim.run(max_time=10)
        assert isinstance(process.failures[0], ValueError)
        assert not process.running


def _run_until_asleep(sim: Simulation, process: Process) -> None:
    assert sim.run(lambda: process.deterministic.next_timer() is not None)


def test_kill_runs_no_code_and_lets_a_beginning_land() -> None:
    landed: set[int] = set()
    cleaned: list[str] = []

    async def burst(process: ProcessContext) -> None:
        try:
            for i in range(10):
                process.log.append(Outgoing("t", 0, None, str(i).encode(), []), lambda outcome: None)
            await asyncio.sleep(100)
        finally:
            if not process.process.up:
                cleaned.append("only when the simulation is closed")

    for seed in range(40):
        with Simulation(seed) as sim:
            sim.broker.create_topic("t", 1)
            process = sim.spawn("burst", burst)
            _run_until_asleep(sim, process)
            process.kill()
            sim.run(max_time=200)
            values = [int(record.value or b"") for record in sim.broker.records("t")]
            assert values == list(range(len(values)))
            landed.add(len(values))
            assert cleaned == []
        cleaned.clear()
    assert {0, 10} <= landed
    assert len(landed) > 4


def test_a_paused_process_does_nothing_and_is_fenced_after_a_session() -> None:
    ticks: list[float] = []

    async def tick(process: ProcessContext) -> None:
        copier = Copier(process)
        await copier.member.join(copier)
        while True:
            await asyncio.sleep(1)
            ticks.append(sim.now)

    with Simulation(3, QUIET) as sim:
        sim.broker.create_topic("in", 2)
        process = sim.spawn("p", tick)
        group = sim.broker.group("copiers", "in")
        assert sim.run(lambda: len(group.holders) == 2)
        process.pause()
        count = len(ticks)
        assert sim.run(lambda: group.holders == {}, max_time=10)
        assert len(ticks) == count
        process.resume()
        assert sim.run(lambda: len(group.holders) == 2)


def test_a_cut_process_is_a_zombie_whose_appends_land_and_whose_commits_do_not() -> None:
    async def write(process: ProcessContext) -> None:
        copier = Copier(process)
        await copier.member.join(copier)
        while True:
            await asyncio.sleep(0.5)
            process.log.append(Outgoing("out", 0, None, process.name.encode(), []), lambda outcome: None)
            for partition in sorted(copier.base):
                await copier.member.commit(partition, Committed(0, process.name))

    with Simulation(4, QUIET) as sim:
        sim.broker.create_topic("in", 1)
        sim.broker.create_topic("out", 1)
        zombie = sim.spawn("zombie", write)
        group = sim.broker.group("copiers", "in")
        assert sim.run(lambda: group.committed.get(("in", 0)) == Committed(0, "zombie"))
        sim.network.cut(zombie, sim.now + 15)
        sim.spawn("heir", write)
        assert sim.run(lambda: group.committed.get(("in", 0)) == Committed(0, "heir"), max_time=10)
        before = len([r for r in sim.broker.records("out") if r.value == b"zombie"])
        sim.run(max_time=8.0)
        assert group.committed["in", 0] == Committed(0, "heir")
        assert len([r for r in sim.broker.records("out") if r.value == b"zombie"]) > before
        sim.run(max_time=10.0)
        assert any(event.what == "commit refused" and "zombie" in event.details for event in sim.history)


def test_clock_jumps_change_broker_and_process_time_and_nothing_else() -> None:
    stamps: list[Any] = []

    async def look(process: ProcessContext) -> None:
        while True:
            stamps.append(process.clock_ms())
            await asyncio.sleep(1)

    with Simulation(3, QUIET) as sim:
        sim.spawn("p", look)
        sim.plan(Faults(jumps=10), within=10)
        sim.run(max_time=20)
        assert any(abs(b - a - 1000) > 500 for a, b in itertools.pairwise(stamps))
        assert sim.skew != 0.0
        assert sim.now == 20.0


def test_quiet_network_loses_nothing() -> None:
    with world(1, QUIET) as sim:
        assert sim.run(lambda: copied(sim), max_time=60)
        assert not [event for event in sim.history if event.what in ("lost", "commit refused")]
        assert len(sim.broker.records("out")) == 12


def test_exported_names() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
