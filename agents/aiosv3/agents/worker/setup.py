"""What all partitions of one agent share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiosv3.agents.agent import Agent
from aiosv3.agents.worker.admission import Defaults
from aiosv3.agents.worker.sealing import NO_SEALS, Seals
from aiosv3.prompts.scan import SecondLook
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.claims import ClaimStore


@dataclass(frozen=True, slots=True)
class ParkingPolicy:
    """When tasks are parked, and when their carries are written again (rules 8 and 23).

    ``after``: seconds that a task may be open and hold the base of its partition back. ``drowsy``: seconds without a
    record after which a parked task that was woken sleeps again. A carry is written again when the journal that the
    parked tasks hold is over ``span`` bytes and twice their own size, when it lies ``own_lag`` results back, or is
    older than ``age`` seconds. Over ``inline`` bytes a carry goes to the claim store, if there is one. All of this is
    looked at every ``every`` seconds, more often where ``after`` or ``drowsy`` are short.
    """

    after: float = 600.0
    drowsy: float = 5.0
    span: int = 4 * 1024 * 1024
    own_lag: int = 100_000
    age: float = 86_400.0
    inline: int = 512 * 1024
    every: float = 1.0


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """What all partitions of one agent share. ``secret`` keys the reply tokens of the whole mesh."""

    agent: Agent[Any, Any]
    schemas: AgentSchemas
    codec: Codec
    store: SchemaStore
    topics: Topics
    secret: bytes
    defaults: Defaults = Defaults()
    live_limit: int = 10_000
    """Tasks of one partition that are awake at a time; more are parked."""
    parking: ParkingPolicy = ParkingPolicy()
    claims: ClaimStore | None = None
    zones: Mapping[str, Clearance] = field(default_factory=dict)
    """The tool zones that there are, and what each may see: a step for any other is refused."""
    approvals: int = 1
    """Partitions of ``approvals``: a question and its answers share one."""
    deltas: int = 1
    """Partitions of ``deltas``: who asks for another one sees nothing."""
    seals: Seals = NO_SEALS
    """How content is sealed and opened."""
    second_look: SecondLook | None = None
    """Looks at prompts after the scan of this package."""
    state_check: float = 60.0
    """Seconds between two looks at the end of the state partition for what others wrote."""
