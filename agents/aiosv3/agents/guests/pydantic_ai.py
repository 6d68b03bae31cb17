"""pydantic-ai agents as they are, inside a task: requests, tools and MCP servers are steps, and replay without a call.

Through the seam that pydantic-ai has for engines of durable execution (``pydantic_ai.durable_exec``): its graph runs on
the task's loop, what reaches outside runs in the worker as ``ctx.run`` steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from pydantic_ai.agent import AbstractAgent, EventStreamHandler, WrapperAgent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    JournalCallableOperationBackend,
    ModelRequestId,
    RoleBasedOperationConfig,
    conversation_id_from_run_id,
)

# Not public: what its engines for Temporal and others use to keep plain functions out of threads.
from pydantic_ai.durable_exec._utils import disable_threads
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRun

from aiosv3.agents.context import Context
from aiosv3.agents.guests.routed import RoutedModel
from aiosv3.agents.taskloop import TaskLoop

__all__ = ["RoutedModel", "durable"]

Deps = TypeVar("Deps")
Out = TypeVar("Out")


def durable(
    ctx: Context,
    agent: AbstractAgent[Deps, Out],
    *,
    model: Model | None = None,
    event_stream_handler: EventStreamHandler[Deps] | None = None,
    attempts: int = 3,
) -> AbstractAgent[Deps, Out]:
    """The agent for this task: ``await durable(ctx, agent).run(prompt)``.

    Without a model of its own it asks through the router; ``model=RoutedModel(ctx)`` makes any agent do so. A model of
    its own is called in this worker, which then needs its keys. Toolsets need an ``id``. ``event_stream_handler`` gets
    the events within the steps; one that is given to ``run`` gets them in each replay. ``attempts``: as in ``ctx.run``.
    What tools change in ``deps`` is not in the journal.
    """
    return _DurableAgent(ctx, agent, model, event_stream_handler or agent.event_stream_handler, attempts)


class _DurableAgent(WrapperAgent[Deps, Out]):
    """Every kind of run goes through ``iter``, and there gets the task's durability."""

    def __init__(
        self,
        ctx: Context,
        wrapped: AbstractAgent[Deps, Out],
        model: Model | None,
        handler: EventStreamHandler[Deps] | None,
        attempts: int,
    ) -> None:
        super().__init__(wrapped)
        self._ctx = ctx
        self._model = model or wrapped.model or RoutedModel(ctx)
        self._handler = handler
        self._attempts = attempts

    @property
    def event_stream_handler(self) -> None:
        """None: it is called within the steps, not by the run."""
        return None

    @asynccontextmanager
    async def iter(self, *args: Any, **settings: Any) -> AsyncIterator[AgentRun[Deps, Any]]:
        model = settings.pop("model", None) or self._model
        durability = _Durability(self._ctx, _Modelled(self.wrapped, model), self._handler, self._attempts)
        capabilities = [*(settings.pop("capabilities", None) or ()), durability]
        with disable_threads(), _unwound():
            async with self.wrapped.iter(*args, model=model, capabilities=capabilities, **settings) as run:
                yield run


def _unwound() -> AbstractContextManager[None]:
    """Where the task is dropped, its graph is cancelled: its scopes and streams do not survive being closed."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return loop.cancelled_first(task) if isinstance(loop, TaskLoop) and task is not None else nullcontext()


class _Modelled(WrapperAgent[Deps, Out]):
    """The agent as durability is bound to it: with the model of this run."""

    def __init__(self, wrapped: AbstractAgent[Deps, Out], model: Model | str) -> None:
        super().__init__(wrapped)
        self._model = model

    @property
    def model(self) -> Model | str:
        return self._model


class _Durability(BaseDurabilityCapability[Deps]):
    """The task as pydantic-ai sees an engine. MCP servers are connected to within each step that needs them."""

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="aiosv3",
        durable_unit_noun="step",
        durable_container_noun="task",
        codec=JSON_CODEC,
        toolset_lifecycles={"function": "enter-never", "mcp": "enter-outside-durable", "dynamic": "enter-never"},
    )

    def __init__(
        self, ctx: Context, modelled: _Modelled[Deps, Any], handler: EventStreamHandler[Deps] | None, attempts: int
    ) -> None:
        super().__init__(event_stream_handler=handler, name=modelled.name or "agent")
        self._ctx = ctx
        self._modelled = modelled
        self._attempts = attempts

    def for_agent(self, agent: AbstractAgent[Deps, Any]) -> AbstractCapability[Deps]:
        return super().for_agent(self._modelled)

    @property
    def in_durable_context(self) -> bool:
        return isinstance(asyncio.get_running_loop(), TaskLoop)

    def get_default_run_id(self) -> str:
        return str(self._ctx.uuid())

    def get_default_conversation_id(self, run_id: str) -> str:
        return conversation_id_from_run_id(run_id)

    def get_run_clock(self) -> Callable[[], datetime]:
        return self._ctx.now

    def get_durable_operation_backend(self) -> DurableOperationBackend[None]:
        return _Steps(self._ctx, self.name, self._modelled.model, self._attempts)


class _Steps(JournalCallableOperationBackend[None]):
    """Each operation is a ``run`` step, but for the request to a routed model: that is one of its own kind."""

    def __init__(self, ctx: Context, agent_name: str, model: Model | str, attempts: int) -> None:
        config = RoleBasedOperationConfig[None](model=None, event=None, capability=None, tool=None)
        super().__init__(agent_name=agent_name, config=config)
        self._ctx = ctx
        self._model = model
        self._attempts = attempts

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: None,
    ) -> object:
        # No model id: this is the run's own model, not one that a capability chose for this request.
        is_own = isinstance(operation_id, ModelRequestId) and operation_id.model_id is None
        if is_own and isinstance(self._model, RoutedModel):
            return await body()
        return await self._ctx.run(body, attempts=self._attempts, label=name)
