"""The stream runtime: partitions owned by markers, answers on the own log first, commits of durable facts."""

from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import Effector, EffectorTenure
from aiosv3.streams.log import Appended, Bounds, Committed, Listener, Log, Member, Outgoing, Record, Start
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring

__all__ = [
    "Appended",
    "Bounds",
    "Commit",
    "Committed",
    "Effector",
    "EffectorTenure",
    "Listener",
    "Log",
    "Member",
    "Outgoing",
    "Processor",
    "Record",
    "Start",
    "Tenure",
    "Wiring",
]
