"""Keys of a project's processes, put together from its settings (docs/sealing.md)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from aiosv3.agents.worker.sealing import Seals
from aiosv3.app.projects import mesh_secret
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.topology import keys_topic
from aiosv3.app.workers import Mesh, ensure
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.keys import BadMasterKeys, FileKeys, KeyRing, KeyStore, MasterKeys, TopicKeys

_USUAL: Final = "master-keys"


def master_path(settings: Settings) -> Path:
    """The file of the master keys, where a file holds them."""
    given = settings.sealing.master
    return (settings.folder / given).resolve() if given else settings.state_folder / _USUAL


def find_masters(
    settings: Settings, up_to: Clearance = Clearance.RESTRICTED, environment: Mapping[str, str] | None = None
) -> MasterKeys | None:
    """The master keys of the classes up to ``up_to``; None where there are none and none are needed.

    Raises :class:`SettingsError` where content of these classes is sealed, and they are not there.
    """
    sealing = settings.sealing
    text = _text(settings, os.environ if environment is None else environment)
    if text is None:
        if sealing.since is None or up_to < sealing.since:
            return None
        where = f"the variable {sealing.variable}" if sealing.variable else str(master_path(settings))
        raise SettingsError(f"[sealing] needs master keys in {where}: 'aiosv3 keys new' makes them")
    try:
        return MasterKeys.parse(text, up_to)
    except BadMasterKeys as error:
        raise SettingsError(f"[sealing] master: {error}") from None


def _text(settings: Settings, environment: Mapping[str, str]) -> str | None:
    if (variable := settings.sealing.variable) is not None:
        return environment.get(variable) or None
    path = master_path(settings)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"[sealing] master: {path} cannot be read: {error}") from None


def key_store(mesh: Mesh) -> KeyStore:
    """Where the data keys of the mesh are."""
    file = mesh.settings.sealing.file
    if file is not None:
        return FileKeys((mesh.settings.folder / file).resolve())
    return TopicKeys(mesh.log, mesh.codec, mesh.topics.keys())


async def open_ring(mesh: Mesh, up_to: Clearance = Clearance.RESTRICTED) -> KeyRing | None:
    """The keys of a process that may see classes up to ``up_to``; None where the project has no keys.

    Raises :class:`SettingsError`, ``KeysUnavailable``. Run what :func:`following` gives beside the process.
    """
    masters = find_masters(mesh.settings, up_to)
    if masters is None:
        return None
    if mesh.settings.sealing.file is None:
        await ensure(mesh, [keys_topic(mesh.topics)])
    ring = KeyRing(key_store(mesh), masters)
    await ring.refresh()
    return ring


def client_ring(mesh: Mesh) -> KeyRing | None:
    """The keys of a client or a command, read when something sealed is met; None where there are none here."""
    try:
        masters = find_masters(mesh.settings)
    except SettingsError:
        return None
    return None if masters is None else KeyRing(key_store(mesh), masters)


def following(ring: KeyRing | None) -> list[Callable[[], Awaitable[None]]]:
    """What keeps the keys of a process up to date, for ``serve``."""
    return [] if ring is None else [ring.follow]


async def open_seals(mesh: Mesh) -> Seals:
    """What an agent's worker seals and opens with. Raises what :func:`open_ring` raises, and :class:`SettingsError`
    where a class that is to be sealed has no master key: a task must not find out.
    """
    settings = mesh.settings
    ring = await open_ring(mesh)
    check_masters(settings)
    return Seals(ring, settings.sealing.since, KeyedHashes(mesh_secret(settings)))


def check_masters(settings: Settings) -> None:
    """Raises :class:`SettingsError` where a class that is to be sealed has no master key here."""
    since = settings.sealing.since
    if since is not None and (masters := find_masters(settings)) is not None:
        missing = [each.label for each in Clearance if each >= since and not masters.may(each)]
        if missing:
            raise SettingsError(
                f"[sealing] from = {since.label!r} needs master keys for {', '.join(missing)}: agents see all classes"
            )
