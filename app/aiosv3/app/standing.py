"""How the agents of a running stack stand: asked of their workers' metrics and of the broker, within a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiosv3.app.backlog import backlogs
from aiosv3.app.localstack import StackStatus
from aiosv3.app.settings import Settings
from aiosv3.app.workers import connect
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Overview

_PATIENCE_S: Final = 0.7
_GAUGES: Final = {"aiosv3_tasks_stuck": "stuck", "aiosv3_tasks_parked": "parked"}
_AGENT: Final = "agent."


@dataclass(frozen=True, slots=True)
class Standing:
    """``unfinished``: waiting or in work, None where the broker did not say. The others are summed over the workers
    that answered: ``parked`` sleep in the journal, ``stuck`` do not fit the code of their worker.
    """

    agent: str
    unfinished: int | None
    parked: int
    stuck: int

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        return asdict(self)

    def words(self) -> str | None:
        """What is worth a line; None where nothing is to do."""
        parts = [f"{self.unfinished} unfinished"] if self.unfinished else []
        parts += [f"{self.parked} parked"] if self.parked else []
        parts += [f"{self.stuck} stuck ('aiosv3 task stuck {self.agent}' says which, and why)"] if self.stuck else []
        return f"agent {self.agent}: {', '.join(parts)}" if parts else None


async def standings(settings: Settings, status: StackStatus) -> list[Standing]:
    """One for each agent that has a worker in the stack. ``settings`` have the stack's addresses."""
    metrics = [one.ready for one in status.processes if one.name.startswith("agent-") and one.ready and one.pid]
    gauges = await _gauges(metrics)
    names = sorted({agent for agent, _ in gauges})
    unfinished = await _unfinished(settings, names) if names else {}
    return [Standing(name, unfinished.get(name), gauges[name, "parked"], gauges[name, "stuck"]) for name in names]


async def _gauges(addresses: Iterable[str]) -> Counter[tuple[str, str]]:
    import httpx

    total: Counter[tuple[str, str]] = Counter()
    async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:

        async def ask(address: str) -> str:
            try:
                return (await client.get(f"http://{urlsplit(address).netloc}/metrics")).text
            except httpx.HTTPError:  # a worker that starts again just now
                return ""

        for text in await asyncio.gather(*map(ask, addresses)):
            total.update(gauges_in(text))
    return total


def gauges_in(text: str) -> Counter[tuple[str, str]]:
    """By agent and name; an agent that has none of a kind counts zero."""
    from prometheus_client.parser import text_string_to_metric_families

    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name in _GAUGES else ():
            processor = sample.labels.get("processor", "")
            if processor.startswith(_AGENT):
                found[processor.removeprefix(_AGENT), _GAUGES[family.name]] += int(sample.value)
    return found


async def _unfinished(settings: Settings, names: list[str]) -> dict[str, int]:
    try:
        overview = Overview(connect(settings, "aiosv3-cli"), _PATIENCE_S)
        found = await backlogs(overview, Topics(settings.kafka.prefix), names)
    except AiosError:
        return {}
    return {name: backlog.unfinished for name, backlog in found.items()}
