"""The agent SDK: an ordinary coroutine becomes a durable, routed, replayable agent."""

from aiosv3.agents.admission import Defaults
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
