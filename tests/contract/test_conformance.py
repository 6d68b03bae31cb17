"""The double against real Kafka: the same scripts, written by chance, and what may be observed is the same on both.

A script appends, reads, deletes, joins, leaves, commits and restarts; each observation is also held against a model of
a few counters, so that both worlds cannot be wrong together. Which member owns which partition is the broker's choice:
that each has its share, and what it is given, is not. ``AIOSV3_SCRIPTS`` says how many scripts are tried.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from aiosv3.streams.errors import AppendFailed, DataLost
from aiosv3.streams.log import Committed, Record, Start

if TYPE_CHECKING:
    from tests.contract.conftest import Recorder, World

SCRIPTS: Final = int(os.environ.get("AIOSV3_SCRIPTS", "3"))
STEPS: Final = 30
PARTITIONS: Final = range(2)
MOST_BYTES: Final = 5_000
_MOVES: Final = 3
"""How often members come and go in one script: on a real broker that is what takes long."""
_OFTEN: Final = {
    "append": 6,
    "read": 3,
    "bounds": 1,
    "offset_at": 1,
    "truncate": 2,
    "commit": 3,
    "commit_elsewhere": 1,
    "commit_too_much": 1,
    "append_too_much": 1,
    "append_keyless": 1,
    "hold": 1,
    "restart": 1,
    "join": 2,
    "leave": 2,
}


@dataclass
class Held:
    """One member, and what it was given since each of its partitions was assigned."""

    member: Any
    heard: Recorder
    gone: bool = False
    since: dict[int, Start] = field(default_factory=dict)
    given: dict[tuple[str, int], list[int]] = field(default_factory=dict)


class Script:
    """Plays one script in one world. ``seen``: what was observed, step by step."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(f"script {seed}")
        self.seed = seed
        self.seen: list[tuple[str, Any]] = []
        self.start: dict[tuple[str, int], int] = {}
        self.end: dict[tuple[str, int], int] = {}
        self.committed: dict[int, Committed] = {}
        self.members: list[Held] = []
        self.left: list[Held] = []
        self.moves = _MOVES
        self.count = 0

    async def play(self) -> list[tuple[str, Any]]:
        """Begins with one member; ends when all that was appended has arrived."""
        self.inputs = self.world.topic(f"input-{self.seed}", len(PARTITIONS), max_bytes=MOST_BYTES)
        self.journal = self.world.topic(f"journal-{self.seed}", len(PARTITIONS))
        self.compact = self.world.topic(f"compact-{self.seed}", compact=True)
        for topic in (self.inputs, self.journal):
            for partition in PARTITIONS:
                self.start[topic, partition] = self.end[topic, partition] = 0
        await self.join()
        for _ in range(STEPS):
            what = self.rng.choices(list(_OFTEN), list(_OFTEN.values()))[0]
            self.seen.append((what, await getattr(self, what)()))
            await self._arrived()
        return self.seen

    # -- the log --------------------------------------------------------------------------------------------------

    def _place(self) -> tuple[str, int]:
        return self.rng.choice([self.inputs, self.journal]), self.rng.choice(PARTITIONS)

    async def append(self) -> Any:
        (topic, partition), acks = self._place(), []
        for _ in range(self.rng.randint(1, 4)):
            self.count += 1
            value = self.rng.choice([str(self.count).encode(), None])
            acks.append(await self.world.append(topic, value, partition=partition, key=b"%d" % (self.count % 3)))
        first = self.end[topic, partition]
        self.end[topic, partition] += len(acks)
        assert [ack.offset for ack in acks] == list(range(first, first + len(acks)))
        return [(ack.partition, ack.offset) for ack in acks]

    async def append_too_much(self) -> Any:
        return await self._refused(self.inputs, bytes(2 * MOST_BYTES), key=b"k")

    async def append_keyless(self) -> Any:
        return await self._refused(self.compact, b"value", key=None)

    async def _refused(self, topic: str, value: bytes, key: bytes | None) -> str:
        with pytest.raises(AppendFailed) as refused:
            await self.world.append(topic, value, key=key)
        return type(refused.value).__name__

    async def read(self) -> Any:
        topic, partition = place = self._place()
        end = self.rng.randint(0, self.end[place])
        start = self.rng.randint(0, end)
        if start == end:
            return await self.world.read(topic, start, end, partition)
        try:
            found = await self.world.read(topic, start, end, partition)
        except DataLost as lost:
            assert start < self.start[place]
            return lost.needed, lost.start
        assert [record.offset for record in found] == list(range(start, end))
        return [(record.offset, record.key, record.value) for record in found]

    async def bounds(self) -> Any:
        place = self._place()
        found = await self.world.log.bounds(*place)
        assert found == (self.start[place], self.end[place])
        return tuple(found)

    async def offset_at(self) -> Any:
        """Of the time of a record: its own offset, or that of a neighbour of the same millisecond."""
        topic, partition = place = self._place()
        records = await self.world.read(topic, self.start[place], self.end[place], partition)
        if not records:
            return None
        wanted = self.rng.choice(records).timestamp
        found = await self.world.log.offset_at(topic, partition, wanted)
        assert found == next(record.offset for record in records if record.timestamp >= wanted)
        assert await self.world.log.offset_at(topic, partition, records[-1].timestamp + 60_000) == self.end[place]
        return len(records)

    async def truncate(self) -> Any:
        """Not above what is committed: an owner that comes later must find it."""
        topic, partition = place = self._place()
        most = self.end[place]
        if topic == self.inputs:
            most = self.committed[partition].offset if partition in self.committed else 0
        before = self.rng.randint(0, most)
        await self.world.log.truncate(topic, partition, before)
        self.start[place] = max(self.start[place], before)
        return await self.world.log.bounds(*place)

    # -- the group ------------------------------------------------------------------------------------------------

    async def join(self) -> Any:
        if len(self.members) == len(PARTITIONS) or not self._moves():
            return None
        held = Held(None, self.world.recorder())
        self._listen(held)
        held.member, _ = await self.world.member(f"group-{self.seed}", self.inputs, self.journal, held.heard)
        self.members.append(held)
        return await self._shared()

    async def leave(self) -> Any:
        if len(self.members) < 2 or not self._moves():
            return None
        held = self.members.pop(self.rng.randrange(len(self.members)))
        held.gone = True
        await self.world.leave(held.member)
        self.left.append(held)
        assert not held.heard.owned
        return await self._shared()

    def _moves(self) -> bool:
        self.moves -= 1
        return self.moves >= 0

    async def _shared(self) -> Any:
        """Every partition has one owner, every member its share; whoever is new was told what is committed."""
        share = len(PARTITIONS) // len(self.members)
        for held in self.members:
            await held.heard.until(lambda held=held: len(held.heard.owned) == share)  # type: ignore[misc]
        owned = [partition for held in self.members for partition in held.heard.owned]
        assert sorted(owned) == list(PARTITIONS)
        return share

    def _listen(self, held: Held) -> None:
        """Every assignment is held against what was committed last; a last commit is made when a partition goes."""
        assigned, records = held.heard.assigned, held.heard.records

        def on_assigned(partition: int, start: Start | None, committed: Committed | None) -> None:
            assert committed == self.committed.get(partition)
            assert start is not None
            held.since[partition] = start
            for topic in (self.inputs, self.journal):
                held.given[topic, partition] = []
            assigned(partition, start, committed)

        def on_records(batch: list[Record]) -> None:
            for record in batch:
                held.given[record.topic, record.partition].append(record.offset)
            records(batch)

        def last(partition: int) -> Committed:
            self.committed[partition] = Committed(self._reached(held, partition), f"left by {self.seed}")
            return self.committed[partition]

        double: Any = held.heard
        double.assigned, double.records, double.last = on_assigned, on_records, last

    def _reached(self, held: Held, partition: int) -> int:
        given = held.given[self.inputs, partition]
        return given[-1] + 1 if given else held.since[partition].input

    def _owner(self, partition: int) -> Held:
        return next(held for held in self.members if partition in held.heard.owned)

    async def commit(self) -> Any:
        partition = self.rng.choice(PARTITIONS)
        place, held = (self.inputs, partition), self._owner(partition)
        offset = self.rng.randint(self.start[place], self.end[place])
        committed = Committed(offset, self.rng.choice(["", "some words", "x" * 4_095]))
        assert await held.member.commit(partition, committed)
        self.committed[partition] = committed
        return offset

    async def commit_too_much(self) -> Any:
        partition = self.rng.choice(PARTITIONS)
        return await self._owner(partition).member.commit(partition, Committed(0, "x" * 4_096))

    async def commit_elsewhere(self) -> Any:
        """Late, or for what somebody else has."""
        partition = self.rng.choice(PARTITIONS)
        others = [held for held in (*self.members, *self.left) if partition not in held.heard.owned]
        return [await held.member.commit(partition, Committed(0, "late")) for held in others]

    async def restart(self) -> Any:
        partition = self.rng.choice(PARTITIONS)
        held = self._owner(partition)
        before = len(held.heard.heard)
        held.member.restart(partition)
        await held.heard.until(lambda: ("assigned", partition) in held.heard.heard[before:])
        assert ("lost", partition) in held.heard.heard[before:]
        return held.since[partition]

    async def hold(self) -> Any:
        """What is held does not come before it is let go; then it comes, once."""
        topic, partition = self._place()
        held = self._owner(partition)
        held.member.flow(topic, partition, on=False)
        await self.append()
        held.member.flow(topic, partition, on=True)
        return topic == self.inputs

    async def _arrived(self) -> None:
        """Everything from the start that the owner was given up to the end of the log, in order, each once."""
        for partition in PARTITIONS:
            held = self._owner(partition)
            since = held.since[partition]
            for topic, start in ((self.inputs, since.input), (self.journal, since.journal or 0)):
                wanted = list(range(start, self.end[topic, partition]))
                given = held.given[topic, partition]
                await held.heard.until(partial(_ends_as, given, wanted))
                assert given == wanted


def _ends_as(given: list[int], wanted: list[int]) -> bool:
    return given[-1:] == wanted[-1:]


@pytest.mark.kafka
@pytest.mark.parametrize("seed", range(SCRIPTS))
async def test_what_a_script_observes_on_kafka_it_observes_on_the_double(both_worlds: Any, seed: int) -> None:
    seen = []
    for make in both_worlds:
        world = make()
        try:
            seen.append(await Script(world, seed).play())
        finally:
            await world.close()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("seed", range(100, 120))
async def test_the_double_keeps_to_the_model(memory_world: Any, seed: int) -> None:
    """Many more scripts than a real broker has time for: each observation is held against the model."""
    world = memory_world()
    try:
        seen = await Script(world, seed).play()
    finally:
        await world.close()
    assert len(seen) == STEPS
