"""Clients of the mesh that a project's settings describe; without a project: ``aiosv3.agents.Client("host:port")``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiosv3.agents import Client, SyncClient
from aiosv3.agents.client import Link
from aiosv3.app.addresses import located
from aiosv3.app.sealing import client_ring
from aiosv3.app.settings import Settings
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.streams.kafka import topic_counts
from aiosv3.streams.kafka.follower import KafkaFollower

_NAME: Final = "aiosv3-client"


def client_of(mesh: Mesh) -> Client:
    """A client on a mesh that is open: ``async with client_of(mesh) as client``."""
    return Client(link=partial(_on, mesh))


def open_client(settings: Settings, name: str = _NAME) -> Client:
    """A client of its own: ``async with open_client(settings) as client``. ``name``: as brokers know it.

    Settings without a broker mean that of a running ``aiosv3 up``, as with the command.
    """
    return Client(link=partial(_by, settings, name))


def open_sync_client(settings: Settings, name: str = _NAME) -> SyncClient:
    """The same for code without an event loop: ``with open_sync_client(settings) as client``."""
    return SyncClient(link=partial(_by, settings, name))


@asynccontextmanager
async def _by(settings: Settings, name: str) -> AsyncIterator[Link]:
    async with open_mesh(located(settings), name) as mesh, _on(mesh) as link:
        yield link


@asynccontextmanager
async def _on(mesh: Mesh) -> AsyncIterator[Link]:
    async def counts(topic: str) -> int:
        return (await topic_counts(mesh.connection, [topic])).get(topic, 0)

    follower = KafkaFollower(mesh.connection)
    try:
        lone = not mesh.settings.registry.url
        yield Link(
            mesh.log, follower, mesh.codec, mesh.topics, counts, mesh.connection.bootstrap, lone, client_ring(mesh)
        )
    finally:
        await follower.close()
