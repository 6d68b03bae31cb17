"""Which tasks are parked, and when they sleep; which carries are written again (protocol rules 8, 10, 23 and 24).

A task that is open for long, stands in the way of a crowded completed set, or is one too many, is *parked*: its carry
is appended to the journal, and when that is acknowledged its input counts as finished. It stays open under its id. A
parked task which only a new journal record can move *sleeps*: its coroutine is dropped, and only its carry's bytes and
its timers are kept until something comes for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from aiosv3.agents.worker.alarms import Alarms
from aiosv3.agents.worker.carry import carry_in, carry_of
from aiosv3.agents.worker.carrying import Carrier, Written
from aiosv3.agents.worker.journal import JournalFeed
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.parked import Lows, Parked, ParkedTasks
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.records import Carry, CarryTimer
from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.log import Appended
from aiosv3.streams.tenure import Tenure

AT_ONCE: Final = 64
"""Carries that may be on their way together: more are written when half of them are acknowledged, never all at once."""
_HEADS: Final = 8
_SOONEST_S: Final = 0.05
_LOG: Final = logging.getLogger(__name__)


class Parking:
    """Parks the tasks of ``live`` and keeps ``table``. Nothing is done after :meth:`stop`."""

    def __init__(
        self,
        tenure: Tenure,
        setup: AgentSetup,
        feed: JournalFeed,
        carrier: Carrier,
        live: dict[str, LiveTask],
        table: ParkedTasks,
    ) -> None:
        self._tenure = tenure
        self._setup = setup
        self._feed = feed
        self._carrier = carrier
        self._live = live
        self._table = table
        self._awake: dict[str, LiveTask] = {}
        self._writing = 0
        self._stale: deque[Parked] = deque()
        """What is to be carried forward, oldest first; looked for once a pass."""
        self._futile = False
        """The last search found nothing to park: the next pass searches again, not every batch of inputs."""
        self._policy = setup.parking
        self._every = max(_SOONEST_S, min(setup.parking.every, setup.parking.after / 4, setup.parking.drowsy))
        self._timer: asyncio.TimerHandle | None = None
        self._alarms = Alarms(table, tenure.wiring.clock, self._fire)

    def start(self) -> None:
        """From now on tasks are parked: everything that earlier owners parked is known."""
        self._timer = asyncio.get_running_loop().call_later(self._every, self._pass)

    def stop(self) -> None:
        """The ownership ends."""
        self._alarms.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- when -----------------------------------------------------------------------------------------------------

    def relieve(self, *, waiting: bool) -> None:
        """Makes room, a bounded piece of it, before inputs are admitted. ``waiting``: one wants to come in."""
        if self._timer is None or self._futile:
            return
        limit = self._setup.live_limit
        if self._tenure.offsets.crowded():
            self._park_some(self._unparked(), _HEADS)
        elif waiting and len(self._live) >= limit:
            self._lull(self._awake.values())
            if len(self._live) >= limit:
                self._park_some((live for live in self._unparked() if live.sleepy), min(AT_ONCE, 1 + limit // 10))
        else:
            return
        self._futile = not self._writing

    def _pass(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._every, self._pass)
        self._futile = False
        before = loop.time() - self._policy.drowsy
        self._lull(live for live in self._awake.values() if live.fed <= before)
        if not self._stale:
            self._stale.extend(sorted(self._find_stale(), key=lambda parked: parked.mark))
        self._write_more()
        self._tenure.pump()

    def _write_more(self) -> None:
        """As many carries as may be on their way: tasks that are not parked first, then those to carry forward."""
        opened = asyncio.get_running_loop().time() - self._policy.after
        self._park_some(self._overdue(opened), AT_ONCE)
        while self._stale and self._writing < AT_ONCE:
            self._carry_again(self._stale.popleft())

    def _unparked(self) -> Iterator[LiveTask]:
        """In task-offset order, lowest first: a lane's tasks are parked from its head on (rule 24)."""
        memory = self._tenure.own.memory
        for live in self._live.values():
            if live.parked is None and not live.carrying and live.settled and live.task.id not in memory:
                yield live

    def _overdue(self, opened: float) -> Iterator[LiveTask]:
        for live in self._unparked():
            if live.opened > opened:
                return
            yield live

    def _park_some(self, tasks: Iterator[LiveTask], most: int) -> None:
        for live in list(islice(tasks, max(0, most - self._writing))):
            self._park(live)

    # -- parking --------------------------------------------------------------------------------------------------

    def _park(self, live: LiveTask) -> None:
        own_upto = self._own_upto(live.task.id, live.own_upto)
        carry = carry_of(live, self._setup.agent.version, self._feed.next, own_upto)
        live.carrying = True
        self._write(live.task.id, live.record.offset, carry, partial(self._parked, live, carry, self._feed.bytes))

    def _own_upto(self, task_id: str, known: int) -> int:
        """Below which own-log position it has no result; no more can be said where memory does not reach down to it."""
        own = self._tenure.own
        return known if task_id in own.memory or own.floor > known else max(known, own.known)

    def _write(self, task_id: str, offset: int, carry: Carry, then: Written) -> None:
        self._writing += 1

        def written(body: bytes, ack: Appended | AppendFailed) -> None:
            self._writing -= 1
            self._futile = False
            then(body, ack)
            if self._writing == AT_ONCE // 2:
                self._write_more()

        self._carrier.write(task_id, offset, carry, written)

    def _parked(self, live: LiveTask, carry: Carry, mark: int, body: bytes, ack: Appended | AppendFailed) -> None:
        """Only an acknowledged carry stands for the task: its input is finished from here on (rule 23)."""
        if isinstance(ack, AppendFailed):
            _LOG.warning("task %s cannot be parked, it holds its partition's base back: %s", live.task.id, ack)
            return
        live.carrying = False
        if live.ending or self._live.get(live.task.id) is not live:
            return
        clock = self._tenure.wiring.clock()
        key, task_id, offset = live.task.key, live.task.id, live.record.offset
        live.parked = Parked(task_id, offset, key, carry.upto, carry.own_upto, clock, mark, len(body))
        self._table.add(live.parked)
        self._awake[task_id] = live
        self._tenure.offsets.complete(offset)
        unchanged = len(live.journal) == len(carry.entries) and (carry.resting is not None or not live.resting)
        self._sleep(live, (carry, body) if unchanged else None)
        self._tenure.pump()

    # -- sleep ----------------------------------------------------------------------------------------------------

    def roused(self, live: LiveTask) -> None:
        """A parked task is awake again."""
        self._awake[live.task.id] = live

    def left(self, live: LiveTask) -> None:
        """It has its result."""
        self._awake.pop(live.task.id, None)

    def _lull(self, tasks: Iterable[LiveTask]) -> None:
        for live in list(islice((live for live in tasks if live.sleepy), AT_ONCE)):
            self._sleep(live, None)

    def _sleep(self, live: LiveTask, written: tuple[Carry, bytes] | None) -> None:
        """``written``: its carry as it is on the log, if nothing has changed since."""
        parked = live.parked
        if parked is None or not live.sleepy:
            return
        if written is None:
            carry = carry_of(live, self._setup.agent.version, self._feed.next, parked.own_upto)
            written = carry, self._carrier.body(live.task.id, live.record.offset, carry)
        parked.begun = live.begun
        live.close()
        del self._live[live.task.id]
        self._awake.pop(live.task.id, None)
        self.sleeps(parked, *written)

    def sleeps(self, parked: Parked, carry: Carry, body: bytes) -> None:
        """``parked`` sleeps from here on; its timers go on."""
        parked.body = body
        if not parked.begun:
            return
        self._alarms.set(parked, carry.timers)

    def _fire(self, parked: Parked, timer: CarryTimer) -> None:
        """The record wakes the task when it is read back (rule 18)."""
        self._carrier.fire(parked.task_id, parked.offset, timer)

    # -- carried forward ------------------------------------------------------------------------------------------

    def _find_stale(self) -> Iterator[Parked]:
        """What holds back more of the logs than it is worth is written again: a restore reads live work only."""
        table, policy, known = self._table, self._policy, self._tenure.own.known
        yesterday = self._tenure.wiring.clock() - policy.age * 1000
        lows = table.lows()
        if lows is None:
            return
        span = self._feed.bytes - lows.mark
        wasteful = span > policy.span and 2 * table.size < span
        if not (wasteful or known - lows.own_upto > policy.own_lag or lows.carried < yesterday):
            return
        for parked in table:
            lags = self._own_upto(parked.task_id, parked.own_upto) - parked.own_upto > policy.own_lag
            if wasteful or lags or parked.carried < yesterday:
                yield parked

    def _carry_again(self, parked: Parked) -> None:
        gone = self._table.get(parked.task_id) is not parked or parked.task_id in self._tenure.own.memory
        if gone or parked.carrying or not parked.opened:
            return
        own_upto = self._own_upto(parked.task_id, parked.own_upto)
        live = self._live.get(parked.task_id)
        if parked.body is not None:
            asleep = carry_in(self._setup.codec, parked.body)
            carry = replace(asleep, upto=self._feed.next, own_upto=own_upto)
        elif live is not None and live.settled:
            carry = carry_of(live, self._setup.agent.version, self._feed.next, own_upto)
        else:
            return
        parked.carrying = True
        self._write(parked.task_id, parked.offset, carry, partial(self._carried, parked, carry, self._feed.bytes))

    def _carried(self, parked: Parked, carry: Carry, mark: int, body: bytes, ack: Appended | AppendFailed) -> None:
        """Nothing is let go before the newer carry is acknowledged."""
        if isinstance(ack, AppendFailed):
            _LOG.warning("task %s cannot be carried forward, its logs are kept: %s", parked.task_id, ack)
            return
        parked.carrying = False
        if self._table.get(parked.task_id) is parked:
            self._table.carried(parked, Lows(carry.upto, carry.own_upto, mark, self._tenure.wiring.clock()), len(body))
