"""The partitions of an agent as they lie on the broker: read without joining its group, nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from aiosv3.agents import AgentSetup
from aiosv3.agents.opentasks import Found, PartitionLog, Tried, claims_of, find_tasks, try_task
from aiosv3.agents.worker.sealing import fetching
from aiosv3.app.reading import Reading
from aiosv3.app.settings import SettingsError
from aiosv3.app.workers import Mesh
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.commit import Commit
from aiosv3.streams.errors import ClaimMissing
from aiosv3.streams.kafka import committed_offsets
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partitions:
    """Reads what the workers of one agent would read."""

    mesh: Mesh
    setup: AgentSetup

    async def count(self) -> int:
        """How many there are. Raises :class:`SettingsError` where the broker has none."""
        topic = self.mesh.topics.tasks(self.setup.agent.name)
        count = await Reading(self.mesh).partitions(topic)
        if not count:
            raise SettingsError(
                f"there is nothing of agent {self.setup.agent.name!r} at {self.mesh.connection.bootstrap} "
                f"(no topic {topic})"
            )
        return count

    async def open_logs(self) -> AsyncIterator[tuple[int, PartitionLog]]:
        """Each partition from what is committed on, as a new owner would read it."""
        agent, topics = self.setup.agent.name, self.mesh.topics
        group, count = f"{topics.prefix}agent.{agent}", await self.count()
        committed = await committed_offsets(self.mesh.connection, group, topics.tasks(agent))
        for partition in range(count):
            found = committed.get(partition)
            yield partition, await self.read(partition, None if found is None else Commit.decode(found))

    async def read(self, partition: int, commit: Commit | None = None) -> PartitionLog:
        """One partition, from ``commit`` on; without one, all that there is."""
        topics, agent = self.mesh.topics, self.setup.agent
        base = commit or Commit(base=0, own=0, journal=0)
        states = await self._records(topics.state(agent.name), partition, 0) if agent.state_type is not None else []
        log = PartitionLog(
            tasks=await self._records(topics.tasks(agent.name), partition, base.base),
            journal=await self._records(topics.journal(agent.name), partition, max(0, base.journal)),
            results=await self._records(topics.results(agent.name), partition, base.own),
            states=states,
            commit=commit,
        )
        return replace(log, wholes=await self._wholes(log))

    async def _records(self, topic: str, partition: int, start: int) -> list[Record]:
        return [record async for record in Reading(self.mesh).records(topic, partition, start)]

    async def _wholes(self, log: PartitionLog) -> dict[str, bytes]:
        wholes: dict[str, bytes] = {}
        for claim in await self.resolved(lambda: claims_of(log.journal, self.setup)):
            try:
                wholes[claim] = await self.mesh.claims.get(claim)
            except ClaimMissing as error:
                raise SettingsError(f"{error}: the claim store of these settings is not that of the workers") from None
        return wholes

    async def found(self, log: PartitionLog) -> list[Found]:
        """The tasks of a partition, open and finished, in the order of their inputs."""
        return await self.resolved(lambda: find_tasks(log, self.setup))

    async def tried(self, found: Found, log: PartitionLog) -> Tried:
        """A task run again on the code that is here."""
        return await self.resolved(lambda: try_task(found, log, self.setup))

    async def resolved(self, work: Callable[[], T]) -> T:
        """What ``work`` returns once all schemas and keys are there that it needs."""
        while True:
            try:
                return work()
            except (UnresolvedSchema, UnresolvedKey) as missing:
                await fetching(self.mesh.store, missing)
