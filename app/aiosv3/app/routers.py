"""A router as a process of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiosv3.app.projects import find_pools, priced_pools
from aiosv3.app.settings import Settings
from aiosv3.app.topology import mesh_topics, pool_topics
from aiosv3.app.workers import clock, ensure, open_mesh, register_released, serve, settled, wiring_of
from aiosv3.streams.processor import Processor

_LIMIT: Final = 5_000


async def run_router(settings: Settings, *, push: bool = False) -> None:
    """The router. ``push``: a routing file that was never in force is put in force (docs/routing.md)."""
    from aiosv3.app.policies import open_policies
    from aiosv3.router.ledger import Cashier, expose_ledgers, keeping_books
    from aiosv3.router.pools import PoolTable
    from aiosv3.router.router import Router
    from aiosv3.router.status import follow, read_statuses

    async with open_mesh(settings, "aiosv3-router") as mesh:
        pools, prices_version = priced_pools(settings, find_pools(settings), clock())
        await register_released(mesh, mesh_topics(mesh.topics))
        await ensure(mesh, [t for pool in pools for t in pool_topics(settings, mesh.topics, pool.name)])
        table = PoolTable()
        await settled(lambda: read_statuses(mesh.log, mesh.codec, mesh.topics, table, 0))
        policies = await open_policies(mesh, pools, push=push)
        cashier = Cashier(caps=settings.budgets.caps(clock))
        expose_ledgers(cashier.tally, cashier.ledgers, mesh.metrics.registry)
        router = Router(
            mesh.topics, mesh.codec, pools, table, clock, cashier, policies.book, prices_version=prices_version
        )
        journal = mesh.topics.router_journal()
        beside = wiring_of(mesh, "router", mesh.topics.prompts(), mesh.topics.decisions(), journal)
        wiring = replace(beside, marks_own=True)
        processor = Processor(wiring, keeping_books(wiring, router, mesh.codec, _LIMIT, mesh.topics))
        await serve(mesh, processor, [lambda: follow(mesh.log, mesh.codec, mesh.topics, table), policies.follow])
