"""A model worker as a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

from aiosv3.app.backings import Behind, behind
from aiosv3.app.metering import Meter
from aiosv3.app.projects import api_key, check_local_runtime, find_pools, priced_pools
from aiosv3.app.sealing import following, open_ring
from aiosv3.app.settings import PoolSettings, Settings, SettingsError
from aiosv3.app.topology import pool_records, pool_topics
from aiosv3.app.workers import clock, effectors, ensure, open_mesh, register_released, serve, wiring_of
from aiosv3.schemas.records import PoolStatus
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.processor import Processor

if TYPE_CHECKING:
    from aiosv3.router.endpoints import Endpoint

_READ_AHEAD: Final = 4
"""How many requests a model worker holds for each that it works on: tenants take turns among them."""
_USUAL_URLS: Final = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}


async def run_pool(settings: Settings, name: str) -> None:
    """A model worker of pool ``name``."""
    pools = find_pools(settings)
    if name not in pools:
        raise SettingsError(f"there is no pool {name!r}; there is {', '.join(sorted(pools))}")
    async with behind(name, pools[name], settings.folder, clock) as server:
        await _run_pool(settings, name, server)


async def _run_pool(settings: Settings, name: str, server: Behind) -> None:
    from aiosv3.app.policies import open_policies
    from aiosv3.router.history import HistoryReader
    from aiosv3.router.ledger import burial
    from aiosv3.router.poolmetrics import expose
    from aiosv3.router.status import publish, status_of
    from aiosv3.router.worker import ModelWorker, WorkerPolicy

    given = server.pool
    meter = Meter(given)
    endpoint = meter.measured(await _endpoint(name, given))
    try:
        async with open_mesh(settings, f"aiosv3-pool-{name}") as mesh:
            await ensure(mesh, pool_topics(settings, mesh.topics, name))
            inputs, own = mesh.topics.pool_prompts(name), mesh.topics.completions(name)
            await register_released(mesh, pool_records(mesh.topics, name))
            policy = WorkerPolicy(timeout=given.timeout, concurrency=given.concurrency)
            (pool,), _ = priced_pools(settings, {name: given}, clock())
            ring = await open_ring(mesh, given.clearance)
            history = HistoryReader(mesh.claims, ring=ring)
            wiring = wiring_of(mesh, f"pool.{name}", inputs, own)
            shown = mesh.topics.deltas()
            deltas = DeltaSender(mesh.log, mesh.codec, shown, settings.kafka.partitions, wiring.metrics)
            policies = await open_policies(mesh)
            worker = ModelWorker(
                pool,
                endpoint,
                mesh.topics,
                mesh.store,
                mesh.codec,
                clock,
                policy,
                history,
                deltas,
                policies=policies.book,
                backing=server.backing,
                ring=ring,
                alive=wiring.member.alive,
            )
            expose(worker.guard, f"pool.{name}", mesh.metrics.registry)
            dead_letters = mesh.topics.dead_letters()
            buried = partial(burial, mesh.topics, mesh.codec, name)
            limit = _READ_AHEAD * given.concurrency
            tenures = effectors(wiring, worker, limit, dead_letters, worker.settle, buried)
            processor = Processor(wiring, tenures)
            replica = f"{socket.gethostname()}-{os.getpid()}"

            def status() -> PoolStatus:
                worker.pool = meter.repriced(worker.pool, clock())
                return meter.stated(status_of(worker, replica, given.concurrency, clock()))

            telling = partial(publish, mesh.log, mesh.codec, mesh.topics, status)
            await serve(mesh, processor, [telling, policies.follow, *server.helpers, *following(ring)])
    finally:
        await endpoint.aclose()


async def _endpoint(name: str, pool: PoolSettings) -> Endpoint:
    """The endpoint of a pool, with all that it needs on this machine: the local model's file is fetched here."""
    check_local_runtime(name, pool)
    if pool.kind == "local":
        from aiosv3.router.endpoints.weights import find_weights

        await asyncio.to_thread(find_weights)
    return endpoint_of(name, pool)


def endpoint_of(name: str, pool: PoolSettings) -> Endpoint:
    """The endpoint of a pool, not connected yet. Raises :class:`SettingsError`."""
    from aiosv3.router.endpoints import Place, UnknownKind, open_endpoint

    place = Place(
        pool.base_url or _USUAL_URLS.get(pool.kind),
        api_key(name, pool),
        in_flight=pool.concurrency,
        priorities=pool.scheduling == "priority",
        api=pool.api,
        flex=pool.flex,
    )
    try:
        return open_endpoint(pool.kind, place)
    except (UnknownKind, ValueError) as error:
        raise SettingsError(f"pools.{name}: {error}") from None
