"""What membership in a group promises, on the double and on Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.streams.log import Committed, Outgoing, Start

if TYPE_CHECKING:
    from tests.contract.conftest import World


async def fill(world: World, topic: str, partitions: int, count: int) -> None:
    await world.append_all(
        [Outgoing(topic, p, None, f"{p}/{i}".encode(), []) for i in range(count) for p in range(partitions)]
    )


async def test_one_member_gets_all_partitions_and_their_records_in_order(world: World) -> None:
    topic = world.topic("in", 3)
    await fill(world, topic, 3, 20)
    _, heard = await world.member("g", topic)
    await heard.until(lambda: all(len(heard.offsets(topic, p)) == 20 for p in range(3)))
    assert heard.owned == {0, 1, 2}
    assert all(heard.offsets(topic, p) == list(range(20)) for p in range(3))
    assert heard.found == dict.fromkeys(range(3), (None, 0, 0))
    assert heard.commits == dict.fromkeys(range(3))
    await world.append(topic, b"late", partition=1)
    await heard.until(lambda: heard.offsets(topic, 1)[-1] == 20)


async def test_the_journal_rides_along(world: World) -> None:
    topic, journal = world.topic("in", 3), world.topic("journal", 3)
    await fill(world, topic, 3, 2)
    await fill(world, journal, 3, 5)
    await world.log.truncate(journal, 1, 3)
    _, heard = await world.member("g", topic, journal)
    await heard.until(
        lambda: (
            [len(heard.offsets(journal, p)) for p in range(3)] == [5, 2, 5]
            and all(len(heard.offsets(topic, p)) == 2 for p in range(3))
        )
    )
    assert heard.offsets(journal, 1) == [3, 4]
    assert heard.found[1] == (None, 0, 3)
    await world.append(journal, partition=2)
    await heard.until(lambda: heard.offsets(journal, 2)[-1] == 5)


async def test_reading_begins_where_starts_says(world: World) -> None:
    topic, journal = world.topic("in"), world.topic("journal")
    await fill(world, topic, 1, 10)
    await fill(world, journal, 1, 10)
    heard = world.recorder()
    heard.begin = lambda partition, first, journal_start: Start(7, 4)
    await world.member("g", topic, journal, heard)
    await heard.until(lambda: len(heard.offsets(topic, 0)) == 3 and len(heard.offsets(journal, 0)) == 6)
    assert heard.offsets(topic, 0) == [7, 8, 9]
    assert heard.offsets(journal, 0) == [4, 5, 6, 7, 8, 9]


async def test_a_refused_partition_stays_assigned_and_silent(world: World) -> None:
    topic = world.topic("in", 2)
    await fill(world, topic, 2, 3)
    heard = world.recorder()
    heard.refuse = {0}
    await world.member("g", topic, recorder=heard)
    await heard.until(lambda: len(heard.offsets(topic, 1)) == 3 and ("assigned", 0) in heard.heard)
    assert heard.owned == {0, 1}
    assert heard.offsets(topic, 0) == []


async def test_the_next_member_sees_the_last_commit(world: World) -> None:
    topic = world.topic("in", 2)
    await fill(world, topic, 2, 5)
    member, heard = await world.member("g", topic)
    await heard.until(lambda: heard.owned == {0, 1})
    assert await member.commit(0, Committed(1, "first"))
    assert await member.commit(0, Committed(3, "second"))
    await world.leave(member)
    _, after = await world.member("g", topic)
    await after.until(lambda: len(after.offsets(topic, 0)) == 2 and len(after.offsets(topic, 1)) == 5)
    assert after.found[0] == (Committed(3, "second"), 0, 0)
    assert after.commits == {0: Committed(3, "second"), 1: None}
    assert after.offsets(topic, 0) == [3, 4]


@pytest.mark.parametrize("metadata", ["", "x" * 4_095, '1|7|12|-1|{"ü"}'])
async def test_commit_metadata_comes_back_as_it_was(world: World, metadata: str) -> None:
    topic = world.topic("in")
    member, heard = await world.member("g", topic)
    await heard.until(lambda: heard.owned == {0})
    assert await member.commit(0, Committed(0, metadata))
    await world.leave(member)
    _, after = await world.member("g", topic)
    await after.until(lambda: after.owned == {0})
    assert after.commits[0] == Committed(0, metadata)


async def test_too_much_metadata_is_refused(world: World) -> None:
    topic = world.topic("in")
    member, heard = await world.member("g", topic)
    await heard.until(lambda: heard.owned == {0})
    assert await member.commit(0, Committed(0, "x" * 5_000)) is False


async def test_no_commit_before_assignment_nor_for_foreign_partitions(world: World) -> None:
    topic = world.topic("in")
    member, heard = await world.member("g", topic)
    await heard.until(lambda: heard.owned == {0})
    assert await member.commit(7, Committed(0, "")) is False


async def test_two_members_split_the_partitions_and_the_rest_is_undisturbed(world: World) -> None:
    topic = world.topic("in", 4)
    await fill(world, topic, 4, 3)
    first, one = await world.member("g", topic)
    await one.until(lambda: all(len(one.offsets(topic, p)) == 3 for p in range(4)))
    one.last = lambda partition: Committed(partition + 1 if partition < 2 else 3, f"last of {partition}")
    _, two = await world.member("g", topic)
    await two.until(lambda: len(two.owned) == 2)
    await one.until(lambda: len(one.owned) == 2)
    assert one.owned | two.owned == {0, 1, 2, 3}
    moved = sorted(two.owned)
    assert [partition for what, partition in one.heard if what == "revoked"] == moved
    assert [two.commits[p] for p in moved] == [one.last(p) for p in moved]
    kept = sorted(one.owned)
    assert [partition for what, partition in one.heard if what == "assigned" and partition in kept] == kept

    assert await first.commit(kept[0], Committed(2, "mine"))
    assert await first.commit(moved[0], Committed(0, "not mine any more")) is False
    await world.append(topic, b"kept", partition=kept[0])
    await world.append(topic, b"moved", partition=moved[0])
    await one.until(lambda: b"kept" in one.values(topic, kept[0]))
    await two.until(lambda: b"moved" in two.values(topic, moved[0]))
    assert one.offsets(topic, kept[0]) == [0, 1, 2, 3]


async def test_who_leaves_hands_everything_over(world: World) -> None:
    topic = world.topic("in", 4)
    first, one = await world.member("g", topic)
    _, two = await world.member("g", topic)
    await one.until(lambda: len(one.owned) == 2)
    await two.until(lambda: len(two.owned) == 2)
    had = sorted(one.owned)
    one.last = lambda partition: Committed(0, f"handed over {partition}")
    await world.leave(first)
    assert one.owned == set()
    await two.until(lambda: len(two.owned) == 4)
    assert [two.commits[p] for p in had] == [Committed(0, f"handed over {p}") for p in had]
    assert await first.commit(had[0], Committed(0, "gone")) is False
    assert not first.alive()


async def test_groups_do_not_know_each_other(world: World) -> None:
    topic = world.topic("in")
    await fill(world, topic, 1, 2)
    member, one = await world.member("a", topic)
    _, two = await world.member("b", topic)
    await one.until(lambda: len(one.offsets(topic, 0)) == 2)
    await two.until(lambda: len(two.offsets(topic, 0)) == 2)
    assert await member.commit(0, Committed(2, "a"))
    _, three = await world.member("c", topic)
    await three.until(lambda: three.owned == {0})
    assert three.commits == {0: None}


@pytest.mark.parametrize("which", ["input", "journal"])
async def test_a_held_flow_waits_and_goes_on_without_a_gap(world: World, which: str) -> None:
    topic, journal = world.topic("in", 2), world.topic("journal", 2)
    held = topic if which == "input" else journal
    await fill(world, held, 2, 2)
    member, heard = await world.member("g", topic, journal)
    await heard.until(lambda: all(len(heard.offsets(held, p)) == 2 for p in range(2)))
    member.flow(held, 0, on=False)
    assert await member.commit(0, Committed(0, "the flow is held once this is answered"))
    await world.append(held, b"held", partition=0)
    await world.append(held, b"flows", partition=1)
    await heard.until(lambda: heard.offsets(held, 1) == [0, 1, 2])
    assert heard.offsets(held, 0) == [0, 1]
    member.flow(held, 0, on=True)
    await heard.until(lambda: heard.offsets(held, 0) == [0, 1, 2])


async def test_restart_loses_the_partition_and_begins_again_from_the_commit(world: World) -> None:
    topic, journal = world.topic("in", 2), world.topic("journal", 2)
    await fill(world, topic, 2, 4)
    await fill(world, journal, 2, 2)
    member, heard = await world.member("g", topic, journal)
    await heard.until(lambda: len(heard.offsets(topic, 0)) == 4 and len(heard.offsets(journal, 0)) == 2)
    assert await member.commit(0, Committed(3, "again"))
    member.restart(0)
    await heard.until(lambda: len(heard.offsets(topic, 0)) == 5 and len(heard.offsets(journal, 0)) == 4)
    assert [what for what, partition in heard.heard if partition == 0 and what != "record"] == [
        "assigned",
        "lost",
        "assigned",
    ]
    assert heard.commits[0] == Committed(3, "again")
    assert heard.offsets(topic, 0) == [0, 1, 2, 3, 3]
    assert heard.offsets(journal, 0) == [0, 1, 0, 1]
    assert ("lost", 1) not in heard.heard
    assert await member.commit(0, Committed(4, "still mine"))


async def test_alive_from_joining_to_leaving(world: World) -> None:
    topic = world.topic("in")
    member, heard = await world.member("g", topic)
    await heard.until(lambda: heard.owned == {0})
    assert await member.commit(0, Committed(0, ""))
    assert member.alive()
    await world.leave(member)
    assert not member.alive()


async def test_leaving_twice_and_leaving_without_partitions(world: World) -> None:
    topic = world.topic("in")
    first, one = await world.member("g", topic)
    await one.until(lambda: one.owned == {0})
    second, _ = await world.member("g", topic)
    await world.leave(second)
    await world.leave(first)
    await first.leave()
    assert one.heard[-1] == ("revoked", 0)
