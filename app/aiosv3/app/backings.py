"""What stands behind a pool: for vLLM its server, looked at, and started here where the pool says ``serve``."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiosv3.app.settings import PoolSettings, SettingsError

if TYPE_CHECKING:
    from aiosv3.router.guard import Backing
    from aiosv3.router.vllm.command import ServePlan
    from aiosv3.router.vllm.serving import Serving

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Behind:
    """``pool``: with the address of its server. ``helpers`` run beside the worker as long as it does."""

    pool: PoolSettings
    backing: Backing | None = None
    helpers: Sequence[Callable[[], Awaitable[None]]] = ()


@asynccontextmanager
async def behind(name: str, pool: PoolSettings, folder: Path, clock: Callable[[], int]) -> AsyncIterator[Behind]:
    """Whatever the pool needs behind it, up and well; ended afterwards, when the worker has drained.

    ``folder``: where the project file lies. Raises :class:`SettingsError` where this machine cannot serve it, and
    ``ServerFailed`` where the server does not come up.
    """
    if pool.kind != "vllm":
        yield Behind(pool)
        return
    from aiosv3.router.vllm.server import LookPolicy, VllmServer

    serving = None if not pool.serve else serving_of(name, pool, folder)
    if serving is not None:
        pool = pool.model_copy(update={"base_url": serving.base_url})
        await serving.start()
    gate = _never if serving is None else serving.gate
    server = VllmServer(pool.base_url, clock, LookPolicy(wakes=pool.wake), gate=gate)
    try:
        yield Behind(pool, server, [server.watch] if serving is None else [server.watch, serving.keep])
    finally:
        await server.aclose()
        if serving is not None:
            await serving.stop()


def serving_of(name: str, pool: PoolSettings, folder: Path) -> Serving:
    """The server of a pool that runs its own, not started yet. Raises :class:`SettingsError`."""
    from aiosv3.router.vllm.command import (
        CannotServe,
        advice,
        arguments_of,
        check_device,
        environment_of,
        find_program,
    )
    from aiosv3.router.vllm.serving import Serving, ServingPolicy

    plan = plan_of(pool, folder)
    try:
        command = [find_program(), *arguments_of(plan)]
        check_device(plan)
    except CannotServe as error:
        raise SettingsError(f"pools.{name}: {error}") from None
    if (said := advice(plan)) is not None:
        _LOG.warning("pool %s: %s", name, said)
    policy = ServingPolicy(start=pool.vllm.start_timeout, drain=pool.vllm.drain)
    return Serving(command, environment_of(plan, os.environ), plan.base_url, policy)


def check_serving(name: str, pool: PoolSettings, folder: Path) -> None:
    """Raises :class:`SettingsError` where the pool is to run its own server and this machine cannot."""
    if pool.serve:
        serving_of(name, pool, folder)


def plan_of(pool: PoolSettings, folder: Path) -> ServePlan:
    """How to serve the model of a pool."""
    from aiosv3.router.vllm.command import ServePlan

    given = pool.vllm
    return ServePlan(
        model=pool.model,
        port=given.port or _free_port(),
        device=given.device,
        gpus=given.gpus,
        tensor_parallel=given.tensor_parallel,
        max_model_len=given.max_model_len,
        gpu_memory=given.gpu_memory,
        max_waiting=given.max_waiting,
        tools="tools" in pool.capabilities,
        tool_parser=given.tool_parser,
        reasoning_parser=given.reasoning_parser,
        chat_template=str(folder / given.chat_template) if given.chat_template else "",
        priorities=pool.scheduling == "priority",
        sleeps=pool.wake,
        arguments=tuple(given.arguments),
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _never() -> str | None:
    return None
