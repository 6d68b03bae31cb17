"""Who takes part in a test, and what all its runs share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aiosv3.agents.agent import Agent
from aiosv3.agents.testing.memory import MemoryInTest
from aiosv3.agents.testing.process import Part
from aiosv3.agents.testing.scripts import Scripts
from aiosv3.agents.testing.values import Values
from aiosv3.agents.testing.wire import HOUSEKEEPING_S
from aiosv3.agents.worker.desk import DeskSetup, DeskTenure
from aiosv3.agents.worker.setup import AgentSetup, ParkingPolicy
from aiosv3.agents.worker.tenure import AgentTenure
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.testing import MemoryClaims

BEGINS: Final = datetime(2030, 1, 1, 9, tzinfo=UTC)
"""When every test begins, unless it says otherwise."""
_PARKING: Final = ParkingPolicy(after=HOUSEKEEPING_S, drowsy=HOUSEKEEPING_S, every=HOUSEKEEPING_S)
_SECRET: Final = b"the secret of a mesh in a test"


class EveryZone(Mapping[str, Clearance]):
    """The tool zones of a test: whichever a tool names, cleared for everything unless the test says otherwise."""

    def __init__(self) -> None:
        self.limits: dict[str, Clearance] = {}

    def __getitem__(self, zone: str) -> Clearance:
        return self.limits.get(zone, Clearance.RESTRICTED)

    def __iter__(self) -> Iterator[str]:
        return iter(self.limits)

    def __len__(self) -> int:
        return len(self.limits)


@dataclass(eq=False)
class Cast:
    """Immutable but for the scripts, which remember what they said: runs with and without crashes share it."""

    agents: Sequence[Agent[Any, Any]]
    begins: datetime = BEGINS
    topics: Topics = field(default_factory=Topics)
    scripts: Scripts = field(default_factory=Scripts)
    metrics: MetricsCatalogue = field(default_factory=MetricsCatalogue)
    store: SchemaStore = field(default_factory=SchemaStore)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    zones: EveryZone = field(default_factory=EveryZone)
    memory: MemoryInTest = field(default_factory=lambda: MemoryInTest(_SECRET))
    _setups: dict[int, AgentSetup] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.codec = Codec(self.store)
        self.values = Values(self.codec)
        names = [agent.name for agent in self.agents]
        if len(set(names)) != len(names):
            raise ValueError(f"two agents of a mesh have one name: {sorted(names)}")

    def setup(self, agent: Agent[Any, Any]) -> AgentSetup:
        """The setup of an agent, its schemas derived and registered as a worker does at its start."""
        known = self._setups.get(id(agent))
        if known is None:
            schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, self.topics, agent.state_type)
            loop = DeterministicLoop(lambda: 0.0)
            registering = loop.create_task(schemas.register(self.store))
            loop.run_until_idle()
            registering.result()
            known = AgentSetup(
                agent=agent,
                schemas=schemas,
                codec=self.codec,
                store=self.store,
                topics=self.topics,
                secret=_SECRET,
                parking=_PARKING,
                claims=self.claims,
                zones=self.zones,
                state_check=HOUSEKEEPING_S,
            )
            self._setups[id(agent)] = known
        return known

    def worker(self, agent: Agent[Any, Any]) -> Part:
        """What the worker of an agent runs."""
        topics, name, setup = self.topics, agent.name, self.setup(agent)
        return Part(
            name=name,
            group=f"{topics.prefix}agent.{name}",
            inputs=topics.tasks(name),
            own=topics.results(name),
            journal=topics.journal(name),
            open=partial(AgentTenure, setup=setup),
            metrics=self.metrics.processor(name),
        )

    def desk(self) -> Part:
        """What the desk runs, which gives the answers of people to the agents."""
        setup = DeskSetup(self.codec, self.store, self.topics)
        approvals = self.topics.approvals()
        return Part(
            name="desk",
            group=f"{self.topics.prefix}desk",
            inputs=approvals,
            own=approvals,
            journal=None,
            open=partial(DeskTenure, setup=setup),
            metrics=self.metrics.processor("desk"),
        )
