"""The state of a partition's keys: what results say, repeated on ``state.<agent>`` where it is found at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiosv3.agents.keyed import KeyedState
from aiosv3.agents.worker.messages import RESULT_TYPE
from aiosv3.agents.worker.sealing import state_place
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.headers import CE_TYPE
from aiosv3.schemas.state import Projection, StateSchemas
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.errors import AppendUnknown, BrokerUnavailable, KeysUnavailable
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.ownlog import Entry, Learned, OwnLog, learn_from_headers
from aiosv3.streams.tenure import Wiring, appended

STATE_TYPE: Final = b"aiosv3.state"
_RETRY_S: Final = 0.5
_HEAD: Final = 5
_LOG: Final = logging.getLogger(__name__)
_NOTHING: Final = Projection(-1, None)
_LATER: Final = (AppendUnknown, BrokerUnavailable, KeysUnavailable, RegistryUnavailable)


def key_of_state(record: Record) -> str:
    """The key under which a task's state is kept. Raises WireError: two keys that look alike must not share one."""
    if record.key is None:
        raise WireError("this agent keeps state for each key: a task without a key has none to keep it for")
    try:
        return record.key.decode()
    except UnicodeDecodeError:
        raise WireError(f"the key of a task whose agent keeps state must be UTF-8: {record.key[:40]!r}") from None


def opened_state(setup: AgentSetup, kind: type[Any], value: bytes) -> KeyedState:
    """The state that a record holds; a fresh one where its key is shredded. Raises WireError, UnresolvedKey."""
    schemas: Any = setup.schemas.state
    found = schemas.decode(setup.codec, value)
    if found.state.sealed is not None:
        plain = setup.seals.state(state_place(found.task_key, found.input_offset), found.state.sealed)
        if plain is None:
            return KeyedState(kind)
        found, value = schemas.decode(setup.codec, plain), plain
    return KeyedState(kind, found, value)


class StateAhead(AiosError):
    """The state topic knows tasks that the task topic has not had yet: one of them was made anew."""


class StateTable:
    """The state of each key after its last finished task, and the projection that keeps it.

    A key's next task may begin, and the answer of this one may go out, only when :meth:`project` has returned. What a
    task begins with follows from the own log alone: after the restore the table moves only by :meth:`project`. A worker
    that lost the partition may append late, so the highest input offset decides, not the last record; where an older
    one came to stand above a newer one, the newer one is appended again ("healed").

    Holds undecoded bytes. Lives for one ownership; ``broken`` hears of an error that nothing here can wait out.
    """

    def __init__(
        self, wiring: Wiring, partition: int, setup: AgentSetup, own: OwnLog, broken: Callable[[AiosError], None]
    ) -> None:
        if setup.schemas.state is None:
            raise ValueError(f"agent {setup.agent.name} keeps no state")
        self.topic = setup.topics.state(setup.agent.name)
        self.known = 0
        """Everything below this position was read or written by this owner: there are no holes (as rule 3)."""
        self.healed = 0
        self._wiring = wiring
        self._partition = partition
        self._setup = setup
        self._schemas: StateSchemas = setup.schemas.state
        self._own = own
        self._broken = broken
        self._table: dict[str, Projection] = {}
        self._ahead: dict[str, Projection] = {}
        """Newer than the table: written by somebody else for a task whose result is still to be read here."""
        self._stale: set[str] = set()
        self._reading = asyncio.Lock()
        self._seen: dict[str, list[tuple[int, str, int]]] | None = {}
        self._restored_to = 0
        self._settled = -1
        self._work: set[asyncio.Task[None]] = set()

    # -- for tasks ------------------------------------------------------------------------------------------------

    def open(self, key: str) -> KeyedState:
        """The state that a task of ``key`` begins with. Raises WireError where this code cannot read it."""
        kind, kept = self._setup.agent.state_type, self._table.get(key)
        if kind is None or kept is None or kept.value is None:
            return KeyedState(kind or object)
        return opened_state(self._setup, kind, kept.value)

    def newest(self, key: str) -> int:
        """Input offset of the task that left the state of ``key``; -1 if no task did."""
        kept = self._table.get(key)
        return -1 if kept is None else kept.input_offset

    # -- restore --------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Reads the partition up to its end, which must be asked for after the own marker was acknowledged."""
        log = self._wiring.log
        bounds = await log.bounds(self.topic, self._partition)
        self._table.clear()
        self._ahead.clear()
        self._stale.clear()
        self._seen = {}
        self.known = bounds.start
        await self._read_to(bounds.end)
        self._table, self._ahead = self._ahead, {}
        inputs = await log.bounds(self._wiring.input_topic, self._partition)
        ahead = max((kept.input_offset for kept in self._table.values()), default=-1)
        if ahead >= inputs.end:
            raise StateAhead(
                f"{self.topic}[{self._partition}] has the state after task {ahead}, and {self._wiring.input_topic} "
                f"ends at {inputs.end}: who makes one of them anew has to delete the other too"
            )

    def saw(self, record: Record, learned: Learned) -> None:
        """A record of the own log, read at the restore: its state may not be on the topic yet.

        Whatever else somebody has put there has no state: it must not have to be read.
        """
        if self._seen is None or learned.id is None or record.key is None or record.header(CE_TYPE) != RESULT_TYPE:
            return
        key = record.key.decode("utf-8", "replace")
        if learned.input_offset > self.newest(key):
            self._seen.setdefault(key, []).append((learned.input_offset, learned.id, record.offset))

    async def catch_up(self) -> None:
        """Projects what results say that the topic does not: a worker died between its result and its state.

        Parked tasks too, whose inputs are completed long before: nobody would ask for them again.
        """
        seen, self._seen = self._seen or {}, None
        self._restored_to = self._own.known
        for key, results in seen.items():
            for input_offset, task_id, offset in sorted(results, reverse=True):
                entry = self._own.memory.get(task_id)
                if entry is not None and entry.offset == offset and input_offset > self.newest(key):
                    await self.project(key, entry)
        self._heal()

    def watch(self) -> None:
        """Looks at the end of the partition now and then from now on."""
        self._spawn(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._setup.state_check)
            try:
                await self.check()
            except AiosError as error:
                _LOG.warning("%s[%s]: looked at again later: %s", self.topic, self._partition, error)

    async def check(self) -> None:
        """Reads what others have appended, and heals."""
        end = (await self._wiring.log.bounds(self.topic, self._partition)).end
        async with self._reading:
            await self._read_to(end)
        self._heal()

    def close(self) -> None:
        """Appends nothing more."""
        for task in self._work:
            task.cancel()

    # -- projection -----------------------------------------------------------------------------------------------

    def owes(self, key: str, entry: Entry) -> bool:
        """True if a result that somebody else wrote meanwhile may carry a state that the topic does not have yet."""
        return self._restored_to <= entry.offset != self._settled and self.newest(key) < entry.input_offset

    async def settle(self, key: str, entry: Entry) -> None:
        """Pays what :meth:`owes` asked for."""
        await self.project(key, entry)
        self._settled = entry.offset

    async def project(self, key: str, entry: Entry, value: bytes | None = None) -> None:
        """Repeats the state that the result at ``entry`` carries, unless that of a later task is there.

        ``value``: the result, where it is at hand. Returns when the topic has it; raises what cannot be waited out.
        """
        while self.newest(key) < entry.input_offset:
            try:
                projection = await self._projection(entry, value)
                if projection is not None and projection.input_offset > self._top(key).input_offset:
                    await self._append(key, projection)
                if projection is not None:
                    self._advance(key, projection)
                return
            except _LATER as error:
                await self._pause(error)

    async def _projection(self, entry: Entry, value: bytes | None) -> Projection | None:
        if value is None:
            value = (await self._own.record(entry)).value or b""
        await self._resolve(value)
        projection = self._setup.schemas.projection(self._setup.codec, value, entry.offset)
        await self._resolve_key(None if projection is None else projection.value)
        return projection

    async def _pause(self, error: AiosError) -> None:
        _LOG.warning("%s[%s]: again in a moment: %s", self.topic, self._partition, error)
        await asyncio.sleep(_RETRY_S)

    async def _append(self, key: str, kept: Projection) -> None:
        source = f"{self._wiring.input_topic}/{self._partition}/{kept.input_offset}"
        headers = event(STATE_TYPE, source, source.encode(), AVRO, b"")
        ack = await self._acknowledged(Outgoing(self.topic, self._partition, key.encode(), kept.value, headers))
        async with self._reading:
            await self._read_to(ack.offset)
            if ack.offset >= self.known:
                self._absorb(key, kept)
                self.known = ack.offset + 1
        self._heal()

    async def _acknowledged(self, record: Outgoing) -> Appended:
        """Appends until the outcome is known: a second copy says the same."""
        while True:
            try:
                return await appended(self._wiring.log, record)
            except AppendUnknown as error:
                _LOG.warning("%s[%s]: appended again: %s", self.topic, self._partition, error)

    # -- what stands on the topic ---------------------------------------------------------------------------------

    async def _read_to(self, end: int) -> None:
        if end <= self.known:
            return
        async for batch in self._wiring.log.read(self.topic, self._partition, self.known, end):
            for record in batch:
                learned = learn_from_headers(record)
                ours = record.header(CE_TYPE) == STATE_TYPE  # whatever else is there is none of its records
                if ours and record.key is not None and learned.input_offset >= 0:
                    await self._resolve(record.value)
                    await self._resolve_key(record.value)
                    self._absorb(record.key.decode("utf-8", "replace"), Projection(learned.input_offset, record.value))
        self.known = end

    async def _resolve(self, value: bytes | None) -> None:
        """Fetches the schema of a value where it is not known yet: decoding is synchronous later."""
        if value is None or value[:1] != b"\0":
            return
        try:
            self._setup.store.schema(int.from_bytes(value[1:_HEAD], "big"))
        except UnresolvedSchema as error:
            await self._setup.store.resolve(error.schema_id)

    async def _resolve_key(self, value: bytes | None) -> None:
        """The same for the key that the state is sealed with."""
        if value is not None and self._setup.seals.ring is not None:
            await self._setup.seals.resolve([self._schemas.decode(self._setup.codec, value).state.sealed])

    def _top(self, key: str) -> Projection:
        """The newest state of a key that is on the topic."""
        return self._ahead.get(key) or self._table.get(key) or _NOTHING

    def _absorb(self, key: str, kept: Projection) -> None:
        """The next record of the partition, in offset order."""
        top = self._top(key).input_offset
        if kept.input_offset > top:
            self._ahead[key] = kept
        if kept.input_offset >= top:
            self._stale.discard(key)
        else:
            self._stale.add(key)

    def _advance(self, key: str, kept: Projection) -> None:
        """The topic has it, or a newer one: the key's next task begins with it."""
        if kept.input_offset > self.newest(key):
            self._table[key] = kept
        if self._ahead.get(key, kept).input_offset <= kept.input_offset:
            self._ahead.pop(key, None)

    def _heal(self) -> None:
        """Compaction keeps the last record of a key: that must be the newest. Both stay for a day to be compared."""
        stale, self._stale = self._stale, set()
        for key in stale:
            _LOG.warning("%s[%s]: an older state stands above a newer one", self.topic, self._partition)
            self.healed += 1
            self._spawn(self._mend(key))

    async def _mend(self, key: str) -> None:
        while True:
            try:
                await self._append(key, self._top(key))
                return
            except _LATER as error:
                await self._pause(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AiosError):
            self._broken(error)
        elif error is not None:
            raise error
