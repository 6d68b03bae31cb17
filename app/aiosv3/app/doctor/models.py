"""Model endpoints: one line a pool. Nothing is generated, so nothing is paid."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiosv3.app.backings import check_serving
from aiosv3.app.doctor.aside import aside
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.modelworkers import endpoint_of
from aiosv3.app.projects import check_local_runtime
from aiosv3.app.settings import PoolSettings
from aiosv3.router.endpoints import EndpointError
from aiosv3.router.endpoints.errors import ModelMissing
from aiosv3.schemas.errors import AiosError

NAME = "models"


async def check(case: Case) -> Sequence[Finding]:
    """All pools at once."""
    pools = await case.pools()
    folder = case.settings.folder
    return await asyncio.gather(*(_pool(name, pool, case.patience, folder) for name, pool in sorted(pools.items())))


async def _pool(name: str, pool: PoolSettings, patience: float, folder: Path) -> Finding:
    try:
        if pool.serve:
            return await _served(name, pool, folder)
        return await (_local(name, pool) if pool.kind == "local" else _endpoint(name, pool, patience))
    except AiosError as error:
        return Finding.failed(_named(name), str(error))


async def _endpoint(name: str, pool: PoolSettings, patience: float) -> Finding:
    endpoint = endpoint_of(name, pool)  # raises where its key is missing
    try:
        async with asyncio.timeout(patience):
            return judged(name, pool, (await endpoint.probe()).models)
    except TimeoutError:
        return Finding.failed(_named(name), f"{_where(pool)} gave no answer within {patience:g} s", _UNREACHABLE)
    except ModelMissing:
        return Finding.warning(_named(name), f"{_where(pool)} answers, but does not list its models", _UNLISTED)
    except EndpointError as error:
        return Finding.failed(_named(name), f"{_where(pool)}: {error.label}: {error}", _UNREACHABLE)
    finally:
        await endpoint.aclose()


_UNREACHABLE = (
    "correct base_url or the key, start the server, or take the pool out: its calls go to other pools or fail"
)
_UNLISTED = "check that base_url ends with the version, as in http://HOST:PORT/v1"


def judged(name: str, pool: PoolSettings, models: Sequence[str]) -> Finding:
    """Whether the model is among those that the endpoint offers."""
    if models and pool.model not in models:
        offers = ", ".join(models[:5]) + (" …" if len(models) > 5 else "")
        return Finding.warning(
            _named(name), f"{_where(pool)} answers, but offers {offers}, not {pool.model}", "set model"
        )
    return Finding.ok(_named(name), f"{pool.model} at {_where(pool)}, sees {pool.clearance.label} data and below")


async def _local(name: str, pool: PoolSettings) -> Finding:
    from aiosv3.router.endpoints.weights import cached_weights

    await aside(lambda: check_local_runtime(name, pool))  # raises where the runtime is missing
    if await aside(cached_weights) is None:
        message = f"{pool.model} is not on this machine yet"
        return Finding.warning(
            _named(name), message, "nothing: its worker fetches it once (93 MB), which needs a network"
        )
    return Finding.ok(_named(name), f"{pool.model} in its worker, runtime and weights are here")


async def _served(name: str, pool: PoolSettings, folder: Path) -> Finding:
    await aside(lambda: check_serving(name, pool, folder))  # raises where this machine cannot
    return Finding.ok(_named(name), f"{pool.model} is served by its worker, and vllm is here")


def _named(name: str) -> str:
    return f"pool {name}"


def _where(pool: PoolSettings) -> str:
    return pool.base_url or f"{pool.kind}'s own API"
