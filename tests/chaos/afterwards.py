"""Reads what the platform has made of money and memory, once its tasks are done, for the checkers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.books import Bill, Money, Settlement
from tests.chaos.checker import Act
from tests.chaos.endpoint import Outside
from tests.chaos.evidence import Reading, place_of
from tests.chaos.remembered import Memory, Noted
from tests.chaos.workers import POOL, TENANT, Workers

from aiosv3.app.commands.options import settings_of
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.recollection import MemoryReading, Recollection
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.money import LedgerEntry, LedgerKind
from aiosv3.schemas.records import Completion, Outcome

_SETTLED_S: Final = 90.0


@dataclass
class Afterwards:
    """After a run without faults any more; the workers still run."""

    reading: Reading
    workers: Workers
    outside: Outside

    # -- money --------------------------------------------------------------------------------------------------------

    def money(self) -> Money:
        """Once every call is settled, or nobody waits for that any more."""
        deadline = time.monotonic() + _SETTLED_S
        while not _at_rest(money := self._money()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return money

    def _money(self) -> Money:
        told = self._budget()
        calls = [Act(call.key, call.at, call.by, call.ended != "answered") for call in self.outside.models]
        return Money(
            calls, list(self._bills()), list(self._settlements()), told["spent_usd_micros"], told["reserved_usd_micros"]
        )

    def _budget(self) -> Mapping[str, int]:
        """What somebody at a shell is told."""
        command = [sys.executable, "-m", "aiosv3.app", "budget", "show", f"tenant/{TENANT}", "--json"]
        done = subprocess.run(
            [*command, "--project", str(self.workers.project)],
            capture_output=True,
            text=True,
            check=True,
            timeout=_SETTLED_S,
        )
        told: Mapping[str, int] = json.loads(done.stdout)[0]
        return told

    def _bills(self) -> Iterator[Bill]:
        for message in self.reading.messages(f"completions.{POOL}"):
            if message.value() is not None:
                said = self.reading.codec.decode_as(Completion, message.value() or b"")
                yield Bill(said.request_id, said.epoch, said.usage.cost_usd_micros)

    def _settlements(self) -> Iterator[Settlement]:
        for message in self.reading.messages("journal.router"):
            if message.value() is not None:
                said = self.reading.codec.decode_as(LedgerEntry, message.value() or b"")
                if said.kind is LedgerKind.SETTLEMENT:
                    yield Settlement(said.id, said.epoch, said.usd_micros)

    # -- memory -------------------------------------------------------------------------------------------------------

    def memory(self) -> Memory:
        """What tasks were told, what is on the log, and what everybody makes of it."""
        return asyncio.run(self._memory())

    async def _memory(self) -> Memory:
        told, events = self._told(), list(self._events())
        async with open_mesh(settings_of(self.workers.project), "chaos") as mesh:
            built = await MemoryAsking(mesh).rebuild(_SETTLED_S)
            whole = await MemoryReading(mesh).recollect()
            read = {entry.id: entry.text for entry in await whole.entries(TENANT)}
            log = await _sum(whole)
            deadline = time.monotonic() + _SETTLED_S
            while (states := await _sum(await MemoryReading(mesh).from_states())) != log:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.5)
        views = {f"the view of partition {number}": _view(event) for number, event in enumerate(built)}
        return Memory(told, events, read, log, states, views)

    def _told(self) -> dict[str, str | None]:
        told: dict[str, str | None] = {}
        for message in self.reading.messages("results.steps"):
            content = self.reading.result(message.value() or b"")[1]["content"] if message.value() is not None else None
            if content and content["noted"]:
                told[content["noted"]] = None if content["forgot"] else f"fact {content['number']}"
        return told

    def _events(self) -> Iterator[Noted]:
        for message in self.reading.messages("memory.events"):
            if message.value() is None:
                continue
            said = self.reading.codec.decode_as(MemoryEvent, message.value() or b"")
            if said.outcome is Outcome.OK and said.memory_id is not None:
                text = str(said.content) if said.action is MemoryAction.REMEMBER else None
                yield Noted(said.request_id, said.memory_id, text, place_of(message), said.input_offset)


def _at_rest(money: Money) -> bool:
    settled = {(one.key, one.epoch) for one in money.settlements}
    return not money.reserved and settled >= {(one.key, one.epoch) for one in money.bills}


async def _sum(found: Recollection) -> str:
    digests = await found.digests()
    return json.dumps({name: [one.count, one.hash] for name, one in sorted(digests.items())})


def _view(event: MemoryEvent) -> str:
    """What a worker says of the view that it compared with a new one, in the words of :func:`_sum`."""
    if event.error is not None:
        return event.error.message
    tenants: dict[str, dict[str, Any]] = json.loads(str(event.content))["tenants"]
    return json.dumps({name: [one["count"], one["hash"]] for name, one in sorted(tenants.items())})
