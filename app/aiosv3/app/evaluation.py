"""Golden tasks through the real mesh: sent as any producer sends them, their results read from the log."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiosv3.agents import Agent
from aiosv3.agents.client import Client, Ended, NotFinished, RawJson
from aiosv3.agents.client.sending import TaskEvent
from aiosv3.app.golden import Ended as Seen
from aiosv3.app.golden import Golden
from aiosv3.app.releases import Case, Release
from aiosv3.schemas import headers as names
from aiosv3.schemas.records import Outcome, Usage
from aiosv3.streams.log import Headers

_SOURCE: Final = (names.CE_SOURCE, b"aiosv3/eval")


@dataclass(frozen=True, slots=True)
class Run:
    """How to run them. ``id`` is in every task id and key: no run meets the tasks or the state of another.

    ``at_once``: how many tasks are open together; ``timeout_s``: how long each may take before it is cancelled.
    """

    agent: Agent[Any, Any]
    at_once: int = 8
    timeout_s: float = 300.0
    headers: Headers = field(default_factory=list)
    id: str = field(default_factory=lambda: f"eval-{uuid.uuid4().hex[:8]}")

    def event(self, golden: Golden) -> TaskEvent:
        """The task event of one golden task."""
        value = json.dumps(golden.input, ensure_ascii=False).encode()
        key = golden.key or golden.id
        return TaskEvent(self.agent.name, f"{self.id}-{golden.id}", f"{self.id}-{key}", value, [_SOURCE, *self.headers])


async def evaluate(client: Client, run: Run, golden: Sequence[Golden]) -> Release:
    """Runs all. Tasks that are open when this is cancelled are cancelled too, they would go on costing money."""
    room = asyncio.Semaphore(run.at_once)
    versions: set[str] = set()

    async def one(case: Golden) -> Case:
        async with room:
            return await _trial(client, run, case, versions)

    async with asyncio.TaskGroup() as group:
        cases = [group.create_task(one(case)) for case in golden]
    found = tuple(case.result() for case in cases)
    return Release(run.agent.name, datetime.now(UTC), tuple(sorted(versions)), found)


async def _trial(client: Client, run: Run, golden: Golden, versions: set[str]) -> Case:
    event = run.event(golden)
    headers = {name: value.decode() for name, value in event.headers}
    handle = await client.start(run.agent, RawJson(event.value), key=event.key, id=event.id, headers=headers)
    try:
        ended = await handle.ended(timeout=run.timeout_s)
    except NotFinished:
        await handle.cancel()
        return Case(golden.id, f"not finished within {run.timeout_s:g} s: cancelled", None, Usage())
    except asyncio.CancelledError:
        await handle.cancel()
        raise
    versions.add(str(ended.fields["code_version"]))
    complaint = golden.complaint(seen_of(run.agent, ended))
    return Case(golden.id, complaint, ended.latency_ms, ended.usage)


def seen_of(agent: Agent[Any, Any], ended: Ended[Any]) -> Seen:
    """The end of a task, its output as JSON has it: golden tasks are written in JSON."""
    failure = ended.fields["error"]
    error = None if failure is None else (failure["type"], failure["message"])
    done = ended.outcome is Outcome.OK
    output = agent.output_adapter.dump_python(ended.output, mode="json", by_alias=True) if done else None
    return Seen(ended.outcome, output, error)
