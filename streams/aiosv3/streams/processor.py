"""A processor: one group membership, a tenure for each partition it owns, and the commits of all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from aiosv3.streams.commit import Commit
from aiosv3.streams.errors import DataLost, NewerCommit
from aiosv3.streams.log import Committed, Record, Start
from aiosv3.streams.tenure import Phase, Tenure, Wiring
from aiosv3.streams.truncation import KEPT_S, JournalTruncation

_LOG: Final = logging.getLogger(__name__)

OpenTenure: TypeAlias = Callable[[int, Committed | None, Commit], Tenure]
"""``(partition, last commit as found, the commit to restore from) -> tenure``."""


class Processor:
    """Implements :class:`~aiosv3.streams.log.Listener`. ``commit_every`` and ``journal_kept`` are in seconds."""

    def __init__(
        self, wiring: Wiring, open_tenure: OpenTenure, *, commit_every: float = 1.0, journal_kept: float = KEPT_S
    ) -> None:
        self._journal_kept = journal_kept
        self._wiring = wiring
        self._open_tenure = open_tenure
        self._commit_every = commit_every
        self._tenures: dict[int, Tenure] = {}
        self._last: dict[int, Commit] = {}
        self._truncations: dict[int, JournalTruncation] = {}
        self._refused: dict[int, str] = {}
        self._why: dict[int, str] = {}
        self._committing: asyncio.Task[None] | None = None
        self._commit_soon = asyncio.Event()
        self._challenges: dict[int, asyncio.Task[None]] = {}
        self._draining = False

    @property
    def tenures(self) -> dict[int, Tenure]:
        """The ownerships that exist now, by partition; for status and tests."""
        return self._tenures

    @property
    def refused(self) -> dict[int, str]:
        """Partitions that are assigned here and not read, with the reason in words."""
        return self._refused

    async def start(self) -> None:
        """Joins the group and begins to commit."""
        await self._wiring.member.join(self)
        self._committing = asyncio.get_running_loop().create_task(self._commit_forever())

    async def drain(self, grace: float) -> None:
        """Admits no more, gives what is in work up to ``grace`` seconds, commits, and leaves the group."""
        self._draining = True
        for tenure in self._tenures.values():
            tenure.draining = True
        deadline = asyncio.get_running_loop().time() + grace
        while asyncio.get_running_loop().time() < deadline and not all(t.idle() for t in self._tenures.values()):
            await asyncio.sleep(0.02)
        if self._committing is not None:
            self._committing.cancel()
        await self._wiring.member.leave()

    # -- Listener -------------------------------------------------------------------------------------------------

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start | None:
        """Where to read from (rules 11, 12); None refuses the partition: :meth:`assigned` says why."""
        try:
            commit = self._commit(partition, committed, input_start, journal_start)
        except (DataLost, NewerCommit) as error:
            self._why[partition] = str(error)  # read in assigned(), which follows on the loop
            return None
        return Start(commit.base, commit.journal if self._wiring.journal_topic else None)

    def _commit(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Commit:
        found = Commit.decode(committed) if committed is not None else None
        if found is None:
            base = committed.offset if committed is not None else input_start
            if base < input_start:
                raise DataLost(self._wiring.input_topic, partition, base, input_start)
            return Commit(base=base, own=0, journal=journal_start if self._wiring.journal_topic else -1)
        if found.base < input_start:
            raise DataLost(self._wiring.input_topic, partition, found.base, input_start)
        if self._wiring.journal_topic and found.journal < 0:
            return replace(found, journal=journal_start)  # by a version of this processor that had no journal
        if self._wiring.journal_topic and found.journal < journal_start:
            raise DataLost(self._wiring.journal_topic, partition, found.journal, journal_start)
        return found

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        """Opens the tenure, which takes the partition by its marker and restores."""
        if start is None:
            self._refused[partition] = self._why.pop(partition, "no reason was given")
            _LOG.error("%s[%s] is not owned: %s", self._wiring.name, partition, self._refused[partition])
            return
        found = Commit.decode(committed) if committed is not None else None
        journal = -1 if start.journal is None else start.journal
        if found is None:
            found = Commit(base=start.input, own=0, journal=journal)
        commit = replace(found, journal=journal) if found.journal < 0 <= journal else found
        self._refused.pop(partition, None)
        tenure = self._open_tenure(partition, committed, commit)
        tenure.contested = lambda: self._contested(tenure)
        tenure.settled_in = self._commit_soon.set
        tenure.draining = self._draining
        self._tenures[partition] = tenure
        self._last.pop(partition, None)
        self._wiring.metrics.partitions.set(len(self._tenures))
        tenure.begin()

    def records(self, records: Sequence[Record]) -> None:
        """Hands each record to its tenure; inputs are admitted after the batch."""
        journal = self._wiring.journal_topic
        touched: dict[int, Tenure] = {}
        for record in records:
            tenure = self._tenures.get(record.partition)
            if tenure is None:
                continue
            if record.topic == journal:
                tenure.journaled(record)
            else:
                tenure.take(record)
            touched[record.partition] = tenure
        for tenure in touched.values():
            tenure.pump()

    def revoked(self, partition: int) -> Committed | None:
        """Stops the tenure and returns its last commit, if it has one to make."""
        self._refused.pop(partition, None)
        tenure = self._tenures.pop(partition, None)
        self._truncations.pop(partition, None)
        self._stop_challenge(partition)
        self._wiring.metrics.partitions.set(len(self._tenures))
        if tenure is None:
            return None
        commit = tenure.snapshot()
        tenure.stop("revoked")
        return commit.encode() if commit is not None else None

    def lost(self, partition: int) -> None:
        """Stops the tenure; nothing is committed."""
        self._refused.pop(partition, None)
        tenure = self._tenures.pop(partition, None)
        self._truncations.pop(partition, None)
        self._stop_challenge(partition)
        self._wiring.metrics.partitions.set(len(self._tenures))
        if tenure is not None:
            tenure.stop("lost")

    def _stop_challenge(self, partition: int) -> None:
        """What an earlier ownership asks is answered by its end."""
        if (challenge := self._challenges.pop(partition, None)) is not None:
            challenge.cancel()

    # -- commits and contests -------------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        """Every ``commit_every`` seconds, and at once for a partition just restored: a commit proves the membership."""
        while True:
            try:
                async with asyncio.timeout(self._commit_every):
                    await self._commit_soon.wait()
            except TimeoutError:
                pass
            self._commit_soon.clear()
            await self.commit_all()

    async def commit_all(self) -> None:
        """One request for each partition that has something new to say (rule 7)."""
        for partition, tenure in list(self._tenures.items()):
            commit = tenure.snapshot()
            tenure.own.trim()
            if commit is None or commit == self._last.get(partition):
                continue
            await self._commit_one(partition, tenure, commit)
        metrics, tenures = self._wiring.metrics, self._tenures.values()
        metrics.open.set(sum(tenure.offsets.open for tenure in tenures))
        parked = [tenure.parked() for tenure in tenures]
        metrics.parked.set(sum(count for count, _ in parked))
        metrics.asleep.set(sum(count for _, count in parked))
        metrics.stuck.set(sum(len(tenure.stuck()) for tenure in tenures))

    async def _commit_one(self, partition: int, tenure: Tenure, commit: Commit) -> bool:
        accepted = await self._wiring.member.commit(partition, commit.encode())
        if accepted and self._tenures.get(partition) is tenure:
            self._last[partition] = commit
            self._wiring.metrics.commits.inc()
            await self._truncate(partition, commit)
        elif not accepted:
            self._wiring.metrics.commits_refused.inc()
        return accepted

    async def _truncate(self, partition: int, commit: Commit) -> None:
        if self._wiring.journal_topic is None:
            return
        truncation = self._truncations.get(partition)
        if truncation is None:
            truncation = JournalTruncation(self._wiring.log, self._wiring.journal_topic, partition, self._journal_kept)
            self._truncations[partition] = truncation
        now = asyncio.get_running_loop().time()
        truncation.committed(now, commit.journal)
        await truncation.run(now)

    def _contested(self, tenure: Tenure) -> None:
        """Somebody else's marker stands above mine: stop, and find out who owns the partition (rule 2)."""
        partition = tenure.partition
        if tenure.phase is Phase.STOPPED or partition in self._challenges:
            return
        self._wiring.metrics.contested.inc()
        commit = tenure.snapshot()
        found = tenure.found if commit is None else commit.encode()
        tenure.stop("contested")
        task = asyncio.get_running_loop().create_task(self._challenge(tenure, found))
        self._challenges[partition] = task
        task.add_done_callback(partial(self._challenged, partition))

    def _challenged(self, partition: int, task: asyncio.Task[None]) -> None:
        if self._challenges.get(partition) is task:
            del self._challenges[partition]

    async def _challenge(self, tenure: Tenure, found: Committed | None) -> None:
        """Asks until the answer is clear: an accepted commit (mine), or the partition is revoked or lost (not mine)."""
        partition = tenure.partition
        statement = found if found is not None else tenure.start.encode()
        while self._tenures.get(partition) is tenure:
            if await self._wiring.member.commit(partition, statement):
                self._wiring.member.restart(partition)
                return
            await asyncio.sleep(self._commit_every)
