"""The step that starts a tree of its own: ``start``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiosv3.agents.agent import Agent, parse_usd
from aiosv3.agents.decoding import adapter_of, decoded
from aiosv3.agents.errors import RecordRejected
from aiosv3.agents.steps import CallStep, request_hash

if TYPE_CHECKING:
    from aiosv3.agents.task import TaskRun

In = TypeVar("In")


class StartSteps:
    """The part of :class:`~aiosv3.agents.context.Context` that gives work away for good."""

    __slots__ = ()
    _run: TaskRun

    @overload
    def start(
        self, agent: Agent[In, Any], value: In, *, task_id: str, key: str | None = ...,
        max_usd: str | float | None = ..., name: str | None = ...,
    ) -> asyncio.Future[str]: ...  # fmt: skip

    @overload
    def start(
        self, agent: str, value: Any, *, task_id: str, key: str | None = ...,
        max_usd: str | float | None = ..., name: str | None = ...,
    ) -> asyncio.Future[str]: ...  # fmt: skip

    def start(
        self,
        agent: Agent[Any, Any] | str,
        value: Any,
        *,
        task_id: str,
        key: str | None = None,
        max_usd: str | float | None = None,
        name: str | None = None,
    ) -> asyncio.Future[str]:
        """Starts a task that is the root of a tree of its own, as somebody outside would; gives its handle.

        Other than with ``send``, this task's money, deadline, depth and cancel are not that one's: its agent's limits
        and ``max_usd`` are. Tenant, class of data, and who is behind it go on. ``task_id`` makes it one task however
        often it is sent. Done when the log has it; raises (on await) RecordRejected where there is no such agent.
        """
        run = self._run
        step_id = run.next_id(name)
        target = agent.name if isinstance(agent, Agent) else agent
        adapter = agent.input_adapter if isinstance(agent, Agent) else adapter_of(Any)
        raw = adapter.dump_json(value)
        limit = None if max_usd is None else parse_usd(max_usd)
        step = CallStep(
            id=step_id,
            hash=request_hash("start", target, task_id, raw),
            first_sent=run.now,
            agent=target,
            value=raw,
            key=key,
            wait=False,
            root=task_id,
            usd_micros=limit,
        )
        handle = adapter_of(str)
        return run.issue(step, lambda entry: decoded(entry, step_id, handle, RecordRejected))
