"""The agent SDK: an ordinary coroutine becomes a durable, routed, replayable agent."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiosv3.agents.agent import Agent, Limits, Order, agent
from aiosv3.agents.context import Context
from aiosv3.agents.errors import (
    AgentDefinitionError,
    AgentFailed,
    BudgetExceeded,
    ClearanceDenied,
    Denied,
    ModelRefused,
    ModelUnavailable,
    OutsideStep,
    RecordRejected,
    StepError,
    StepTimeout,
    ToolFailed,
)

if TYPE_CHECKING:
    from aiosv3.agents.admission import Defaults
    from aiosv3.agents.task import Task, TaskRun
    from aiosv3.agents.tenure import AgentSetup, AgentTenure

__all__ = [
    "Agent",
    "AgentDefinitionError",
    "AgentFailed",
    "AgentSetup",
    "AgentTenure",
    "BudgetExceeded",
    "ClearanceDenied",
    "Context",
    "Defaults",
    "Denied",
    "Limits",
    "ModelRefused",
    "ModelUnavailable",
    "Order",
    "OutsideStep",
    "RecordRejected",
    "StepError",
    "StepTimeout",
    "Task",
    "TaskRun",
    "ToolFailed",
    "agent",
]

_WORKER_SIDE = {
    "AgentSetup": "aiosv3.agents.tenure",
    "AgentTenure": "aiosv3.agents.tenure",
    "Defaults": "aiosv3.agents.admission",
    "Task": "aiosv3.agents.task",
    "TaskRun": "aiosv3.agents.task",
}
"""Loaded when first used: a module that only defines agents starts fast, without Kafka and Avro."""


def __getattr__(name: str) -> Any:
    if name not in _WORKER_SIDE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WORKER_SIDE[name]), name)
