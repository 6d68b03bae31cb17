"""The log port in memory, for tests, and a simulator that runs production code on it under a seed."""

from aiosv3.streams.testing.broker import MemoryBroker, TopicSettings, UnknownTopic
from aiosv3.streams.testing.chaos import Faults, Noise, SimulatedNetwork
from aiosv3.streams.testing.claims import MemoryClaims
from aiosv3.streams.testing.group import Group
from aiosv3.streams.testing.log import MemoryLog
from aiosv3.streams.testing.member import MemoryMember
from aiosv3.streams.testing.network import Host, Network
from aiosv3.streams.testing.process import Process, ProcessContext
from aiosv3.streams.testing.simulation import Event, ProcessFailed, Simulation

__all__ = [
    "Event",
    "Faults",
    "Group",
    "Host",
    "MemoryBroker",
    "MemoryClaims",
    "MemoryLog",
    "MemoryMember",
    "Network",
    "Noise",
    "Process",
    "ProcessContext",
    "ProcessFailed",
    "SimulatedNetwork",
    "Simulation",
    "TopicSettings",
    "UnknownTopic",
]
