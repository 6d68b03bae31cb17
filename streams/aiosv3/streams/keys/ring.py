"""The data keys of one process: made once for all processes, opened as far as it is cleared, forgotten when shredded.

    ring = KeyRing(store, masters)             # masters: of the classes that this process may see
    await ring.refresh()                       # and ring.follow() beside it, so that shredding is heard of
    key = await ring.obtain(Owner(tenant, subject, Clearance.CONFIDENTIAL))   # tenant, subject: keyed hashes
    body = seal(key, "memory", memory_id, b"...")
    plain = await ring.opened("memory", memory_id, body)

Code that cannot wait uses :meth:`KeyRing.used` and :meth:`KeyRing.open`, which raise :class:`UnresolvedKey` where
something has to be read first: await its :meth:`~UnresolvedKey.resolved` and call again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.schemas.sealing import ContentKeys, DataKey, KeyShredded, NoKey, SealError, key_id_of, open_sealed
from aiosv3.streams.keys.masters import Wrapper
from aiosv3.streams.keys.store import KeyStore
from aiosv3.streams.keys.table import KeyTable, Owner, owner_of

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)
_EVERY_S: Final = 1.0
_ABSENT_KEPT: Final = 4_096


class UnresolvedKey(AiosError):
    """Keys have to be read or made first: ``await error.resolved()``, then call again."""

    def __init__(self, words: str, resolved: Callable[[], Awaitable[None]]) -> None:
        super().__init__(words)
        self.resolved = resolved


class StartedBefore(KeyShredded):
    """A task was started before the keys of its subject were shredded: it gets no other key, and nothing of it is
    written any more."""


Shredded: TypeAlias = Callable[[str, str | None, int], None]
"""Is told whose keys were shredded, tenant and subject, and when (ms)."""


class KeyRing:
    """One for a process. ``clock``: milliseconds since the epoch."""

    def __init__(self, store: KeyStore, wrapper: Wrapper, clock: Callable[[], int] | None = None) -> None:
        self._store = store
        self._wrapper = wrapper
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._table = KeyTable()
        self._open: dict[str, DataKey] = {}
        self._refused: dict[str, SealError] = {}
        """Why a key that was looked for cannot be had; newest last."""
        self._reading = asyncio.Lock()
        self._making = asyncio.Lock()
        self.heard: list[Shredded] = []
        """Who is told of what is shredded, in the loop that reads."""

    # -- without waiting ------------------------------------------------------------------------------------------

    def used(self, owner: Owner) -> DataKey:
        """The key that seals the content of ``owner``. Raises :class:`UnresolvedKey`, :class:`NoKey`."""
        if not self._wrapper.may(owner.clearance):
            raise _uncleared(owner.clearance)
        record = self._table.used(owner)
        if record is None:
            raise UnresolvedKey(f"{owner.clearance.label} content has no key yet", lambda: self._prepare([owner]))
        return self.get(record.key_id)

    def get(self, key_id: str) -> DataKey:
        """The key of this id. Raises :class:`UnresolvedKey`, :class:`NoKey`, :class:`KeyShredded`."""
        key = self._open.get(key_id)
        if key is not None:
            return key
        record = self._table.get(key_id)
        if record is not None and record.kind is KeyKind.SHREDDED:
            raise KeyShredded(f"key {key_id} was shredded: what was sealed with it cannot be read any more, by nobody")
        if record is not None and not self._wrapper.may(Clearance.parse(record.clearance)):
            raise _uncleared(Clearance.parse(record.clearance), key_id)
        if (refused := self._refused.get(key_id)) is not None:
            raise type(refused)(str(refused))
        raise UnresolvedKey(f"key {key_id} has not been read yet", lambda: self.resolve([key_id]))

    def open(self, kind: str, record_id: str, body: bytes) -> bytes:
        """What is sealed in the record. Raises what :meth:`get` raises, and :class:`BadSeal`."""
        return open_sealed(self.get(key_id_of(body)), kind, record_id, body)

    def content_keys(
        self, since: Clearance, tenant: str, subject: str | None, least: Clearance, started: int | None = None
    ) -> ContentKeys:
        """All that a task may need: its class may rise from ``least`` to the highest. Raises what :meth:`used` does.

        ``started``: when the task was (ms of the broker). Raises :class:`StartedBefore`.
        """
        self.check(tenant, subject, started)
        owners = [Owner(tenant, subject, each) for each in Clearance if each >= max(since, least)]
        try:
            return ContentKeys(since, {owner.clearance: self.used(owner) for owner in owners})
        except UnresolvedKey as error:
            raise UnresolvedKey(str(error), lambda: self._prepare(owners, started)) from None

    @property
    def has_shredded(self) -> bool:
        """Whether a key was ever shredded, as far as is known here."""
        return self._table.has_shredded

    def check(self, tenant: str, subject: str | None, started: int | None) -> None:
        """Raises :class:`StartedBefore` for what was started (ms) when keys of the subject were shredded, or before.

        What is started afterwards is new, and has new keys.
        """
        at = self._table.shredded(tenant, subject)
        if at is not None and started is not None and started <= at:
            raise StartedBefore(
                "the subject of this task was forgotten after the task was started: what is started now is new"
            )

    # -- with waiting ---------------------------------------------------------------------------------------------

    async def obtain(self, owner: Owner) -> DataKey:
        """As :meth:`used`, which it waits for. Raises :class:`NoKey`, ``KeysUnavailable``."""
        return await settled(lambda: self.used(owner))

    async def opened(self, kind: str, record_id: str, body: bytes) -> bytes:
        """As :meth:`open`, which it waits for. Raises :class:`SealError`, ``KeysUnavailable``."""
        return await settled(lambda: self.open(kind, record_id, body))

    async def refresh(self) -> None:
        """Reads what is new in the store. Raises ``KeysUnavailable``."""
        risen: dict[str, bool] = {}
        async with self._reading:
            for record in await self._store.news():
                risen[record.key_id] = not self._apply(record)
        await self._bury([key_id for key_id, again in risen.items() if again])

    async def follow(self, every: float = _EVERY_S) -> None:
        """Reads on until cancelled, so that a shredded key is forgotten here within ``every`` seconds."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.refresh()
            except AiosError as error:
                _LOG.warning("the key store is not read: %s", error)

    async def resolve(self, key_ids: Iterable[str]) -> None:
        """After this, :meth:`get` answers for these ids, if only with why not. Raises ``KeysUnavailable``."""
        wanted = [key_id for key_id in key_ids if key_id not in self._open]
        if any(self._table.get(key_id) is None for key_id in wanted):
            await self.refresh()
        for key_id in wanted:
            record = self._table.get(key_id)
            if record is None:
                self._refuse(key_id, NoKey(f"the key store has no key {key_id}: it was sealed by another mesh"))
            elif record.kind is not KeyKind.SHREDDED:
                await self._unwrap(record)

    # -- changes --------------------------------------------------------------------------------------------------

    async def shred(self, tenant: str, subject: str | None) -> list[str]:
        """Destroys all keys of a subject, of every class; returns their ids. Without a subject: the tenant's own.

        What was sealed with them cannot be read any more, wherever it lies. Content of what is started later has a new
        key. Where there is no key a record says so all the same: what was started before gets none.
        """
        gone: list[str] = []
        said = False
        while True:  # until nothing is found: somebody may have made a key meanwhile, for something old
            ended = await self._end(tenant, subject, KeyKind.SHREDDED)
            if said and not ended:
                return gone
            if not ended:
                await self._store.append([self._bound(tenant, subject)])
            gone += ended
            said = True

    def _bound(self, tenant: str, subject: str | None) -> KeyRecord:
        """That there is no key of what was started until now: in the place of one that is shredded, or of none."""
        now, before = self._clock(), self._table.of(tenant, subject)
        if before:
            return replace(before[-1], updated=now)
        name = DataKey.new(tenant).id
        return KeyRecord(name, KeyKind.SHREDDED, tenant, subject, Clearance.PUBLIC.label, now)

    async def retire(self, tenant: str, subject: str | None) -> list[str]:
        """New content gets new keys; the old ones still open what they sealed. Returns their ids."""
        return await self._end(tenant, subject, KeyKind.RETIRED)

    async def keys(self) -> list[KeyRecord]:
        """All that there are, as they are now, oldest first."""
        await self.refresh()
        return self._table.all()

    async def _end(self, tenant: str, subject: str | None, kind: KeyKind) -> list[str]:
        await self.refresh()
        ended = [record for record in self._table.of(tenant, subject) if _goes(record, kind)]
        now = self._clock()
        if not ended:
            return []
        records = [replace(record, kind=kind, updated=now) for record in ended]
        if kind is KeyKind.SHREDDED:
            records = [replace(record, master=None, wrapped=None) for record in records]
        await self._store.append(records)
        await self.refresh()
        return [record.key_id for record in ended]

    async def _prepare(self, owners: Sequence[Owner], started: int | None = None) -> None:
        """Makes the keys that are missing. Whoever does so elsewhere comes to the same ones: the first one counts."""
        async with self._making:
            await self.refresh()
            with suppress(StartedBefore):
                for owner in owners:
                    self.check(owner.tenant, owner.subject, started)
                await self._make(owners)
        used = [self._table.used(owner) for owner in owners]
        await self.resolve([record.key_id for record in used if record is not None])

    async def _make(self, owners: Sequence[Owner]) -> None:
        allowed = [owner for owner in owners if self._wrapper.may(owner.clearance)]
        missing = [owner for owner in allowed if self._table.used(owner) is None]
        if missing:
            await self._store.append([await self._new(owner) for owner in missing])
            await self.refresh()

    async def _new(self, owner: Owner) -> KeyRecord:
        key = DataKey.new(owner.tenant)
        master, wrapped = await self._wrapper.wrap(owner.clearance, key.secret, _context(key.id, owner))
        label = owner.clearance.label
        return KeyRecord(key.id, KeyKind.DATA, owner.tenant, owner.subject, label, self._clock(), master, wrapped)

    async def _unwrap(self, record: KeyRecord) -> None:
        owner = owner_of(record)
        context = _context(record.key_id, owner)
        try:
            secret = await self._wrapper.unwrap(owner.clearance, record.master or "", record.wrapped or b"", context)
        except SealError as error:
            self._refuse(record.key_id, error)
            return
        now = self._table.get(record.key_id)
        if now is not None and now.kind is not KeyKind.SHREDDED:  # it may have been shredded meanwhile
            self._open[record.key_id] = DataKey(record.key_id, record.tenant, secret)

    def _apply(self, record: KeyRecord) -> bool:
        """False where it would bring a shredded key back."""
        try:
            taken = self._table.apply(record)
        except ValueError as error:
            _LOG.error("key %s is passed over: %s", record.key_id, error)
            return True
        self._refused.pop(record.key_id, None)
        if record.kind is KeyKind.SHREDDED:
            self._open.pop(record.key_id, None)
            for tell in tuple(self.heard):
                tell(record.tenant, record.subject, record.updated)
        return taken

    async def _bury(self, risen: Sequence[str]) -> None:
        """Compaction keeps the last record of an id: a late copy of a shredded key must not be the last one."""
        if not risen:
            return
        _LOG.error("shredded keys were written again: %s; they stay shredded", ", ".join(risen))
        records = [record for key_id in risen if (record := self._table.get(key_id)) is not None]
        try:
            await self._store.append(records)
        except AiosError as error:
            _LOG.error("a shredded key cannot be shredded again here: %s", error)

    def _refuse(self, key_id: str, error: SealError) -> None:
        self._refused[key_id] = error
        if len(self._refused) > _ABSENT_KEPT:
            del self._refused[next(iter(self._refused))]


async def settled(ask: Callable[[], T]) -> T:
    """What ``ask`` gives once all keys that it needs are there."""
    while True:
        try:
            return ask()
        except UnresolvedKey as error:
            await error.resolved()


def _goes(record: KeyRecord, kind: KeyKind) -> bool:
    return record.kind is KeyKind.DATA or (record.kind is KeyKind.RETIRED and kind is KeyKind.SHREDDED)


def _uncleared(clearance: Clearance, key_id: str = "") -> NoKey:
    what = f"key {key_id} is" if key_id else "content is"
    return NoKey(f"{what} {clearance.label}, and this process has no master key of that class: it cannot be read here")


def _context(key_id: str, owner: Owner) -> bytes:
    parts = ("aiosv3 data key", key_id, owner.tenant, owner.subject or "", owner.clearance.label)
    return "\0".join(parts).encode()
