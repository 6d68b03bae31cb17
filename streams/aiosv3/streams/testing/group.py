"""The double's group coordinator: KIP-848's rules, with membership, epochs, and who holds which partition."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiosv3.streams.log import Committed

METADATA_LIMIT: Final = 4_095

Watch = Callable[[str, str, str], None]  # who, what, details


class Heartbeat(NamedTuple):
    """Answer to a heartbeat: what the member may own now. ``epoch`` 0: it was fenced and must join again."""

    epoch: int
    partitions: tuple[int, ...]


FENCED: Final = Heartbeat(0, ())


@dataclass(slots=True)
class _Membership:
    name: str
    poke: Callable[[], None]
    epoch: int = 0
    previous: int = 0
    owned: tuple[int, ...] = ()
    target: list[int] = field(default_factory=list)
    seen: float = 0.0


class Group:
    """One consumer group on one topic. A partition goes to its next owner only when the last has let go.

    A commit is refused when its member is unknown or its epoch is not the member's present one. As in Kafka,
    it is *not* refused because somebody else owns the partition (protocol rule 6).
    """

    def __init__(self, name: str, partitions: int, watch: Watch) -> None:
        self.name = name
        self.epoch = 0
        self.committed: dict[tuple[str, int], Committed] = {}
        self._count = partitions
        self._watch = watch
        self._members: dict[str, _Membership] = {}
        self._holders: dict[int, str] = {}

    @property
    def holders(self) -> dict[int, str]:
        """Partition to member, as the coordinator sees it; a zombie thinks otherwise."""
        return dict(sorted(self._holders.items()))

    @property
    def members(self) -> tuple[str, ...]:
        """In the order in which they joined."""
        return tuple(self._members)

    def heartbeat(
        self, name: str, epoch: int, owned: tuple[int, ...], now: float, poke: Callable[[], None]
    ) -> Heartbeat:
        """``epoch`` 0 joins, also again. ``owned``: what it holds. ``poke`` asks it to beat at once."""
        member = self._members.get(name)
        if epoch == 0:
            member = self._join(name, poke)
        elif member is None or epoch not in (member.epoch, member.previous):
            self.remove(name, "fenced: wrong epoch")
            return FENCED
        member.seen = now
        member.owned = owned
        self._release(name, member)
        if member.epoch != self.epoch and all(partition in member.target for partition in owned):
            member.previous, member.epoch = member.epoch, self.epoch
        mine = [p for p in member.target if self._holders.setdefault(p, name) == name]
        return Heartbeat(member.epoch, tuple(mine))

    def seen(self, name: str) -> float | None:
        """When the last heartbeat of a member came, or None: not a member."""
        member = self._members.get(name)
        return member.seen if member else None

    def remove(self, name: str, why: str) -> None:
        """A member leaves or is fenced; its partitions are free at once."""
        if self._members.pop(name, None) is None:
            return
        self._watch(name, "removed", f"from group {self.name}: {why}")
        for partition in [p for p, holder in self._holders.items() if holder == name]:
            del self._holders[partition]
        self._balance()

    def commit(self, name: str, epoch: int, topic: str, partition: int, committed: Committed) -> bool:
        """A commit as it lands."""
        member = self._members.get(name)
        good = member is not None and member.epoch == epoch and len(committed.metadata) <= METADATA_LIMIT
        if good:
            self.committed[topic, partition] = committed
        word = "commit" if good else "commit refused"
        self._watch(name, word, f"{self.name}/{topic}[{partition}] {committed.offset} {committed.metadata!r}")
        return good

    def rebalance(self, rng: random.Random) -> None:
        """Gives the partitions out anew, by chance, to each member its share."""
        order = list(range(self._count))
        rng.shuffle(order)
        for member in self._members.values():
            member.target = []
        self._fill(order)

    def _join(self, name: str, poke: Callable[[], None]) -> _Membership:
        self.remove(name, "joins again")
        self._watch(name, "joined", f"group {self.name}")
        member = self._members[name] = _Membership(name, poke)
        self._balance()
        return member

    def _release(self, name: str, member: _Membership) -> None:
        freed = [
            partition
            for partition, holder in self._holders.items()
            if holder == name and partition not in member.target and partition not in member.owned
        ]
        for partition in freed:
            del self._holders[partition]
        if freed:
            self._poke_all(besides=name)

    def _balance(self) -> None:
        """Sticky: what a member has stays with it, up to its share."""
        if not self._members:
            return
        share, more = divmod(self._count, len(self._members))
        for member in self._members.values():
            allowed = share + (1 if more and len(member.target) > share else 0)
            more -= allowed > share
            del member.target[allowed:]
        given = {partition for member in self._members.values() for partition in member.target}
        self._fill([partition for partition in range(self._count) if partition not in given])

    def _fill(self, free: list[int]) -> None:
        for partition in free:
            least = min(self._members.values(), key=lambda member: len(member.target))
            least.target.append(partition)
        self.epoch += 1
        self._poke_all()

    def _poke_all(self, besides: str = "") -> None:
        for member in self._members.values():
            if member.name != besides:
                member.poke()
