"""The desk as a process: ``aiosv3 worker desk``."""

from __future__ import annotations

import logging
from typing import Final

from aiosv3.agents.worker.desk import DeskSetup, DeskTenure
from aiosv3.app.sealing import following, open_ring
from aiosv3.app.settings import Settings
from aiosv3.app.topology import base_topics, desk_subjects
from aiosv3.app.workers import Mesh, ensure, open_mesh, serve, wiring_of
from aiosv3.schemas.errors import RegistryUnavailable
from aiosv3.streams.commit import Commit
from aiosv3.streams.keys import KeyRing
from aiosv3.streams.log import Committed
from aiosv3.streams.processor import Processor

_LOG: Final = logging.getLogger(__name__)


async def run_desk(settings: Settings) -> None:
    """The desk of the project's people."""
    async with open_mesh(settings, "aiosv3-desk") as mesh:
        ring = await open_ring(mesh)
        await serve(mesh, await desk_processor(mesh, ring), following(ring))


async def desk_processor(mesh: Mesh, ring: KeyRing | None = None) -> Processor:
    """The processor of the desk, its topic and schemas ready. ``ring`` opens what is sealed."""
    settings, topics = mesh.settings, mesh.topics
    await ensure(mesh, base_topics(settings, topics))
    await _register(mesh)
    setup = DeskSetup(mesh.codec, mesh.store, topics, settings.roles, ring)
    wiring = wiring_of(mesh, "desk", topics.approvals(), topics.approvals())

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> DeskTenure:
        return DeskTenure(wiring, partition, committed, start, setup=setup)

    return Processor(wiring, open_tenure)


async def _register(mesh: Mesh) -> None:
    for subject, name in desk_subjects(mesh.topics).items():
        try:
            await mesh.store.register(subject, mesh.store.released_schema(name))
        except RegistryUnavailable as error:
            _LOG.warning("going on with released schema ids: %s", error)
            return
