"""The agent SDK: an ordinary coroutine becomes a durable, routed, replayable agent."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiosv3.agents.agent import Agent, Guarantee, Limits, Order, agent
from aiosv3.agents.context import Context
from aiosv3.agents.conversation import Conversation
from aiosv3.agents.errors import (
    AgentDefinitionError,
    AgentFailed,
    AsOfPruned,
    BudgetExceeded,
    ClearanceDenied,
    Denied,
    InvalidContent,
    MemoryRefused,
    MemoryUnavailable,
    ModelRefused,
    ModelUnavailable,
    OutsideStep,
    RecordRejected,
    StepError,
    StepTimeout,
    SubjectForgotten,
    ToolFailed,
    TreeCancelled,
)
from aiosv3.agents.memory import Forgotten, Memories, Memory, Remembered
from aiosv3.agents.people import Approval
from aiosv3.agents.tools import Secret, Tool, tool
from aiosv3.agents.turn import ModelTurn, ToolCall

if TYPE_CHECKING:
    from aiosv3.agents.client import Client, Handle, NotFinished, SyncClient, SyncHandle
    from aiosv3.agents.facts import Task
    from aiosv3.agents.task import TaskRun
    from aiosv3.agents.worker.admission import Defaults
    from aiosv3.agents.worker.setup import AgentSetup, ParkingPolicy
    from aiosv3.agents.worker.tenure import AgentTenure

__all__ = [
    "Agent",
    "AgentDefinitionError",
    "AgentFailed",
    "AgentSetup",
    "AgentTenure",
    "Approval",
    "AsOfPruned",
    "BudgetExceeded",
    "ClearanceDenied",
    "Client",
    "Context",
    "Conversation",
    "Defaults",
    "Denied",
    "Forgotten",
    "Guarantee",
    "Handle",
    "InvalidContent",
    "Limits",
    "Memories",
    "Memory",
    "MemoryRefused",
    "MemoryUnavailable",
    "ModelRefused",
    "ModelTurn",
    "ModelUnavailable",
    "NotFinished",
    "Order",
    "OutsideStep",
    "ParkingPolicy",
    "RecordRejected",
    "Remembered",
    "Secret",
    "StepError",
    "StepTimeout",
    "SubjectForgotten",
    "SyncClient",
    "SyncHandle",
    "Task",
    "TaskRun",
    "Tool",
    "ToolCall",
    "ToolFailed",
    "TreeCancelled",
    "agent",
    "tool",
]

_LATER = {
    "AgentSetup": "aiosv3.agents.worker.setup",
    "AgentTenure": "aiosv3.agents.worker.tenure",
    "Client": "aiosv3.agents.client",
    "Defaults": "aiosv3.agents.worker.admission",
    "Handle": "aiosv3.agents.client",
    "NotFinished": "aiosv3.agents.client",
    "ParkingPolicy": "aiosv3.agents.worker.setup",
    "SyncClient": "aiosv3.agents.client",
    "SyncHandle": "aiosv3.agents.client",
    "Task": "aiosv3.agents.facts",
    "TaskRun": "aiosv3.agents.task",
}
"""Loaded when first used: a module that only defines agents starts fast, without Kafka and Avro."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
