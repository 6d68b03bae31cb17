"""Fixtures of the tool workers' tests; the stage itself is in ``staging/toolstage.py``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from toolstage import SERVERS, Stage

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.store import SchemaStore
from aiosv3.tools import Secrets, ServedTools, ServerPolicy
from aiosv3.tools.mcp.session import McpServer
from aiosv3.tools.mcp.stdio import Child, StdioLink


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


@pytest.fixture
def child() -> Callable[..., AbstractAsyncContextManager[ServedTools]]:
    """A server of this folder in a process of its own: ``async with child("plain.py", "hostile", timeout=2)``."""

    @asynccontextmanager
    async def run(
        program: str,
        *args: str,
        era: Any = "auto",
        limit: int = 1 << 20,
        env: Any = None,
        secrets: Any = None,
        **rules: Any,
    ) -> AsyncIterator[ServedTools]:
        made = Child(sys.executable, [str(SERVERS / program), *args], env or {}, limit=limit, patience=1.0, grace=0.5)
        policy = ServerPolicy(**{"timeout": 10.0, "backoff": 0.0, **rules})
        one = ServedTools("crm", McpServer(lambda: StdioLink(made), era), policy, Secrets(secrets))
        try:
            yield one
        finally:
            await one.aclose()

    return run
