"""What is examined: a project's settings, and what several checks want to know, asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiosv3.agents import Agent
from aiosv3.app.doctor.aside import aside
from aiosv3.app.projects import find_pools, load_agents
from aiosv3.app.settings import PoolSettings, Settings
from aiosv3.app.workers import connect
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import BrokerFacts, Connection, Overview

_T = TypeVar("_T")
_CLIENT: Final = "aiosv3-doctor"


@dataclass(frozen=True, slots=True)
class Reached:
    """A broker that has answered."""

    connection: Connection
    overview: Overview
    facts: BrokerFacts


class Case:
    """``given``: as configured; ``settings``: with the addresses of a running ``aiosv3 up`` filled in.

    ``patience``: seconds for one answer of a service.
    """

    def __init__(self, given: Settings, settings: Settings, project: Path | None, patience: float = 4.0) -> None:
        self.given = given
        self.settings = settings
        self.project = project
        self.patience = patience
        self.topics = Topics(settings.kafka.prefix)
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def broker(self) -> Reached:
        """Raises SettingsError, BrokerUnavailable."""
        return await self._once("broker", self._reach())

    async def reached(self) -> Reached | None:
        """The broker; None where the check of the broker says why there is none."""
        try:
            return await self.broker()
        except AiosError:
            return None

    async def agents(self) -> dict[str, Agent[Any, Any]]:
        """The project's agents: runs its modules. Raises SettingsError."""
        return await self._once("agents", aside(lambda: load_agents(self.settings)))

    async def pools(self) -> dict[str, PoolSettings]:
        """The pools that its workers would use."""
        return await self._once("pools", aside(lambda: find_pools(self.settings)))

    async def _reach(self) -> Reached:
        connection = connect(self.settings, _CLIENT)
        overview = Overview(connection, self.patience)
        return Reached(connection, overview, await overview.broker())

    async def _once(self, name: str, work: Coroutine[Any, Any, _T]) -> _T:
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.ensure_future(work)
        else:
            work.close()
        return await asyncio.shield(task)  # one check that is cut off must not take it away from the others
