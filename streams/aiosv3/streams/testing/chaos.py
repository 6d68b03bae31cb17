"""A network that delays, loses and holds up messages as its dice say, and the faults to be planned."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosv3.streams.testing.network import Arrive, Host, Lane, Network

_COORDINATOR: Final = frozenset({"group", "commit", "poke"})
_LOSABLE: Final = frozenset({"group", "commit", "poke"})
_GIVEN_UP: Final = 30.0
"""Seconds until a producer gives a lost append up; an idempotent one sends nothing behind it before."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How bad the network is at all times. Seconds and shares (0..1).

    Delays are up to ``delay``, a ``slow_share`` of them up to ``slow``. ``lost_acks``: acknowledgements of
    appends that never come although the record landed. ``lost_appends``: appends that never land, and
    nobody says so; what is behind them in their partition lands when they are given up. ``lost_answers``:
    answers to commits and heartbeats that never come.
    ``stray_commits`` travel apart from the other messages to the coordinator and may land behind them. One
    fetch returns up to ``batch`` records.
    """

    delay: float = 0.005
    slow: float = 2.0
    slow_share: float = 0.02
    lost_acks: float = 0.005
    lost_appends: float = 0.0
    lost_answers: float = 0.02
    stray_commits: float = 0.1
    batch: int = 4


QUIET: Final = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0, batch=500)


@dataclass(frozen=True, slots=True)
class Faults:
    """How many of each fault a simulation plans (see ``Simulation.plan``).

    ``kills``: kill -9 and a new process a little later. ``crashes``: the same right when one of its records lands, one
    of the next thirty: whatever should have followed is lost. ``pauses``: SIGSTOP, often for longer than a session.
    ``cuts``: a process no longer reaches the coordinator, but the rest of the broker: a zombie.
    ``expulsions``: the coordinator throws a member out, which hears of it late: a zombie whose heartbeats
    were answered until now. ``rebalances``: partitions change hands by chance. ``jumps``: a wall clock, the
    broker's too, steps by up to a minute. ``outages``: nothing reaches the broker for a while.
    """

    kills: int = 0
    pauses: int = 0
    cuts: int = 0
    expulsions: int = 0
    rebalances: int = 0
    jumps: int = 0
    outages: int = 0
    crashes: int = 0

    def kinds(self) -> list[str]:
        """One name a fault, in the order of the fields."""
        names = ("kills", "pauses", "cuts", "expulsions", "rebalances", "jumps", "outages", "crashes")
        return [name for name in names for _ in range(getattr(self, name))]


class _Message:
    __slots__ = ("arrive", "dropped", "key", "number", "sender")

    def __init__(self, number: int, key: tuple[object, ...], sender: Host | None, arrive: Arrive) -> None:
        self.number = number
        self.key = key
        self.sender = sender  # of a request; None for answers and timers
        self.arrive = arrive
        self.dropped = False


class SimulatedNetwork(Network):
    """Carries messages on virtual time. Its driver calls :meth:`advance` and then :meth:`deliver`."""

    def __init__(
        self,
        rng: random.Random,
        clock: Callable[[], float],
        noise: Noise | None = None,
        watch: Callable[[str, str, str], None] = lambda who, what, details: None,
    ) -> None:
        super().__init__()
        self.noise = noise or Noise()
        self._rng = rng
        self._clock = clock
        self._watch = watch
        self._count = 0
        self._flying: list[tuple[float, int, _Message]] = []
        self._last: dict[tuple[object, ...], float] = {}
        self._here: dict[tuple[object, ...], deque[_Message]] = {}
        self._keys: list[tuple[object, ...]] = []
        self._cut: dict[str, float] = {}
        self._stalled: dict[tuple[str, ...], float] = {}
        self._outage = 0.0

    # ---- as the double uses it

    def time(self) -> float:
        return self._clock()

    def later(self, delay: float, function: Arrive) -> None:
        self._put(self._clock() + delay, None, None, function)

    def to_broker(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        if not host.up:
            return
        if self.noise.lost_appends and lane and lane[0] == "append" and self._rng.random() < self.noise.lost_appends:
            self._watch(host.name, "lost", f"an append to {'/'.join(lane[1:])}")
            self._last[host.name, True, *lane] = self._clock() + _GIVEN_UP
            return
        self._send(host, self._route(lane), arrive, request=True)

    def to_host(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        kind = lane[0] if lane else ""
        odds = self.noise.lost_acks if kind == "ack" else self.noise.lost_answers if kind in _LOSABLE else 0.0
        if self._rng.random() < odds:
            self._watch(host.name, "lost", f"an answer to {'/'.join(lane or ())}")
        else:
            self._send(host, lane, lambda: host.call(arrive), request=False)

    def fetch_limit(self) -> int:
        return self._rng.randint(1, self.noise.batch)

    def choose(self, count: int) -> int:
        return self._rng.randrange(count)

    # ---- faults

    def cut(self, host: Host, until: float) -> None:
        """``host`` and the group coordinator do not hear each other until then (seconds of virtual time)."""
        self._cut[host.name] = until

    def stall(self, host: Host, topic: str, until: float) -> None:
        """What ``host`` sends to ``topic`` from now on arrives not before ``until``."""
        self._stalled[host.name, topic] = until

    def outage(self, until: float) -> None:
        """Nothing that is sent from now on arrives before ``until``."""
        self._outage = until

    def killed(self, host: Host) -> None:
        """Of what ``host`` has sent, the beginning of each lane still arrives: all, some or nothing."""
        lanes: dict[tuple[object, ...], list[_Message]] = {}
        here = [message for queue in self._here.values() for message in queue]
        flying = [message for _, _, message in self._flying]
        for message in sorted(here + flying, key=lambda message: message.number):
            if message.sender is host:
                lanes.setdefault(message.key, []).append(message)
        for messages in lanes.values():
            for message in messages[self._rng.randint(0, len(messages)) :]:
                message.dropped = True

    # ---- as the simulation drives it

    def advance(self) -> int:
        """Takes in what is due now; returns how many lanes have something to deliver."""
        now = self._clock()
        while self._flying and self._flying[0][0] <= now:
            message = heapq.heappop(self._flying)[2]
            if message.dropped:
                continue
            queue = self._here.get(message.key)
            if queue is None:
                self._here[message.key] = deque((message,))
                self._keys.append(message.key)
            else:
                queue.append(message)
        return len(self._keys)

    def deliver(self, index: int) -> None:
        """Delivers the first message of the lane at ``index`` (below what :meth:`advance` returned)."""
        key = self._keys[index]
        queue = self._here[key]
        message = queue.popleft()
        if not queue:
            del self._here[key]
            self._keys[index] = self._keys[-1]
            self._keys.pop()
        if not message.dropped:
            message.arrive()

    def next_due(self) -> float | None:
        """When the next message arrives, or None."""
        return self._flying[0][0] if self._flying else None

    # ---- inside

    def _route(self, lane: Lane) -> Lane:
        if lane is None or lane[0] != "commit":
            return lane
        return None if self._rng.random() < self.noise.stray_commits else ("group", *lane[1:])

    def _send(self, host: Host, lane: Lane, arrive: Arrive, *, request: bool) -> None:
        noise = self.noise
        most = noise.slow if self._rng.random() < noise.slow_share else noise.delay
        due = max(self._clock(), self._outage) + self._rng.uniform(0, most)
        if lane and lane[0] in _COORDINATOR:
            due = max(due, self._cut.get(host.name, 0.0))
        if request and lane and self._stalled:
            due = max(due, self._stalled.get((host.name, *lane[1:2]), 0.0))
        key = (host.name, request, *lane) if lane else None
        if key:
            due = self._last[key] = max(due, self._last.get(key, 0.0))
        self._put(due, key, host if request else None, arrive)

    def _put(self, due: float, key: tuple[object, ...] | None, sender: Host | None, arrive: Arrive) -> None:
        self._count += 1
        message = _Message(self._count, key or (self._count,), sender, arrive)
        heapq.heappush(self._flying, (due, self._count, message))
