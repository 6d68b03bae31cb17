"""The project's routing policy: its file beside ``aiosv3.toml``, and the versions on the log."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, clock, settled
from aiosv3.router.pools import Pool
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.compiling import check_pools, compiled
from aiosv3.router.routing.errors import RoutingFileError, UnusableVersion
from aiosv3.router.routing.file import FILE_NAME, RoutingFile, parse_routing
from aiosv3.router.routing.following import follow_policies, publish_version, read_policies
from aiosv3.router.routing.versions import pools_version, routing_version
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.policies import PolicyVersion

_LOG: Final = logging.getLogger(__name__)


class Opened(NamedTuple):
    """What is known of policies at the start of a worker, and what keeps it up to date."""

    book: PolicyBook
    follow: Callable[[], Awaitable[None]]


def routing_path(settings: Settings) -> Path:
    """Where the project's routing file is, or would be."""
    return settings.folder / FILE_NAME


def read_routing(path: Path, pools: Sequence[Pool] | None = None) -> RoutingFile:
    """A routing file, held against the pools where they are given. Raises :class:`SettingsError` with line numbers."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"there is no {path}: write a routing policy there, or name another file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    try:
        file, marked = parse_routing(text, str(path))
        if pools is not None:
            check_pools(file, marked, pools)
    except RoutingFileError as error:
        raise SettingsError(str(error)) from None
    return file


def project_routing(settings: Settings) -> RoutingFile | None:
    """The project's routing file; None where there is none. Raises :class:`SettingsError`."""
    path = routing_path(settings)
    return read_routing(path) if path.exists() else None


async def open_policies(mesh: Mesh, pools: Sequence[Pool] = (), *, push: bool = False) -> Opened:
    """The policy in force, for a worker; a router gives its ``pools``, which are put on the log.

    The log counts, not the file. A router puts the file there where the log has no policy yet and, with ``push``, where
    it never had this one. Raises :class:`SettingsError` where there are policies and none of them can be used.
    """
    file = _file_or_older(mesh.settings)
    book = PolicyBook() if isinstance(file, SettingsError | None) else PolicyBook(compiled(file))
    read = partial(read_policies, mesh.log, mesh.codec, mesh.topics, book)
    position = await settled(read)
    try:
        book.check()
    except UnusableVersion as error:
        raise SettingsError(str(error)) from None
    if isinstance(file, SettingsError):
        if book.pushed is None:
            raise file
        _LOG.error("policy %s on the log stays in force: %s", book.current.version, file)
    elif file is not None:
        await _reconcile(mesh, book, file, bootstrap=bool(pools), push=push and bool(pools))
    if pools and (table := pools_version(pools, clock(), _who())).version not in book.tables:
        await publish_version(mesh.log, mesh.codec, mesh.topics, table)
    return Opened(book, lambda: follow_policies(mesh.log, mesh.codec, mesh.topics, book, position))


def _file_or_older(settings: Settings) -> RoutingFile | SettingsError | None:
    try:
        return project_routing(settings)
    except SettingsError as error:
        return error


async def _reconcile(mesh: Mesh, book: PolicyBook, file: RoutingFile, *, bootstrap: bool, push: bool) -> None:
    version = routing_version(file, clock(), _who())
    if book.pushed is not None and book.pushed.version == version.version:
        return
    if (bootstrap and book.pushed is None) or (push and not book.knows(version.version)):
        await publish_version(mesh.log, mesh.codec, mesh.topics, version)
        book.apply(version)
        _LOG.info("routing policy %s of this project is in force", version.version)
    elif book.pushed is not None:
        _LOG.warning(
            "%s is not what is in force (%s): 'aiosv3 route push' makes it so", FILE_NAME, book.current.version
        )


async def push_routing(mesh: Mesh, file: RoutingFile) -> tuple[PolicyVersion, str | None]:
    """Puts a file in force, if it is not already. Returns its version and that of the one before."""
    book = PolicyBook()
    await settled(partial(read_policies, mesh.log, mesh.codec, mesh.topics, book))
    version = routing_version(file, clock(), _who())
    before = None if book.pushed is None else book.pushed.version
    if before != version.version:
        await publish_version(mesh.log, mesh.codec, mesh.topics, version)
    return version, before


async def default_classes(mesh: Mesh) -> dict[str, Clearance]:
    """The class of tasks that name none, of the tenants for which the policy in force has one."""
    book = (await open_policies(mesh)).book
    return {name: tenant.clearance for name, tenant in book.current.tenants.items() if tenant.clearance is not None}


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
