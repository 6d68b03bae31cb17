"""Events of the memory log into a view: folded in their order, and the view told what changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from aiosv3.memory.contents import Contents
from aiosv3.memory.entries import entry_of
from aiosv3.memory.fold import Drop, Effect, Ended, Fold, Keep, Key
from aiosv3.memory.trusting import Suspects
from aiosv3.memory.views.errors import VectorUnusable, ViewUnavailable
from aiosv3.memory.views.port import Change, Put, Remove, View
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import RegistryUnavailable, WireError
from aiosv3.schemas.memory import MemoryEvent
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.log import Record

_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)
Forgotten: TypeAlias = Mapping[int, Mapping[Key, Ended]]
"""By partition: what was forgotten."""
Heard: TypeAlias = Callable[[Record, MemoryEvent, Sequence[Effect]], None]
"""Is told of each event that was folded, and what it came to."""


class Applier:
    """One view and the fold of each partition. ``forgotten``: what stays so although a log is read up to a time before.

    The same records give the same view, whoever reads them and whenever: nothing is computed here.
    """

    def __init__(self, view: View, codec: Codec, contents: Contents, forgotten: Forgotten | None = None) -> None:
        self.view = view
        self.folds: dict[int, Fold] = {}
        self.trouble: ViewUnavailable | None = None
        """Why the view is behind; None while it takes what it is given."""
        self.heard: dict[int, Heard] = {}
        """By partition, who is told."""
        self.codec = codec
        self._contents = contents
        self._forgotten = forgotten or {}

    def fold(self, partition: int) -> Fold:
        """Of one partition."""
        if partition not in self.folds:
            self.folds[partition] = Fold(forgotten=dict(self._forgotten.get(partition, {})))
        return self.folds[partition]

    def suspects(self, tenant: str) -> Suspects:
        """What of a tenant is in quarantine."""
        found = [fold.suspects(tenant) for fold in self.folds.values()]
        sources = frozenset[str]().union(*(one.sources for one in found))
        return Suspects(sources, frozenset[str]().union(*(one.ids for one in found)))

    def came_from(self, tenant: str, tasks: Collection[str], models: Collection[str]) -> frozenset[str] | None:
        """Ids of what came from one of these tasks and one of these models; None: whatever is held."""
        if not tasks and not models:
            return None
        return frozenset[str]().union(*(fold.came_from(tenant, tasks, models) for fold in self.folds.values()))

    async def apply(self, records: Sequence[Record]) -> None:
        """Records of one partition, in their order, each once. While the view is not there it waits for it."""
        changes: list[Change] = []
        for record in records:
            for effect in await self._effects(record):
                if isinstance(effect, Keep):
                    changes += await self._put(effect.event, record)
                else:
                    changes.append(Remove(effect.tenant, effect.id, effect.version))
                    if effect.purge:
                        await self._tell(changes)
                        await self._purge(effect)
                        changes = []
        await self._tell(changes)

    async def _effects(self, record: Record) -> list[Effect]:
        """Markers change nothing, and neither does what nobody can read."""
        if record.value is None:
            return []
        while True:
            try:
                event = await self.codec.read_as(MemoryEvent, record.value)
                effects = self.fold(record.partition).apply(event, record.offset)
                if (heard := self.heard.get(record.partition)) is not None:
                    heard(record, event, effects)
                return effects
            except RegistryUnavailable as error:
                _LOG.warning("%s[%d]@%d waits: %s", record.topic, record.partition, record.offset, error)
                await asyncio.sleep(_RETRY_S)
            except WireError as error:
                _LOG.error("%s[%d]@%d is no memory: %s", record.topic, record.partition, record.offset, error)
                return []

    async def _put(self, event: MemoryEvent, record: Record) -> list[Change]:
        while True:
            try:
                return [Put(await entry_of(event, record, self._contents))]
            except WireError as error:
                _LOG.info("%s[%d]@%d is not shown: %s", record.topic, record.partition, record.offset, error)
                return []
            except KeysUnavailable as error:
                _LOG.warning("%s[%d]@%d waits: %s", record.topic, record.partition, record.offset, error)
                await asyncio.sleep(_RETRY_S)

    async def _tell(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        try:
            await self._insist(lambda: self.view.apply(changes))
        except VectorUnusable:
            for change in changes:
                await self._tell_one(change)

    async def _tell_one(self, change: Change) -> None:
        """A vector that does not fit those before, as of an embedder that was changed under its name, is left out."""
        try:
            await self._insist(lambda: self.view.apply([change]))
        except VectorUnusable as error:
            if not isinstance(change, Put):
                raise
            _LOG.error("memory %s is found by its words alone: %s", change.entry.id, error)
            bare = Put(replace(change.entry, vector=None, embedder=None))
            await self._insist(lambda: self.view.apply([bare]))

    async def _purge(self, drop: Drop) -> None:
        await self._insist(lambda: self.view.purge(drop.tenant, ids=[drop.id]))

    async def _insist(self, ask: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await ask()
                self.trouble = None
                return
            except ViewUnavailable as error:
                if self.trouble is None:
                    _LOG.warning("the memory view takes nothing: %s", error)
                self.trouble = error
            await asyncio.sleep(_RETRY_S)
