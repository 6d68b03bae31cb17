"""Tool zones of a project: their servers put together from the settings, their secrets, their workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiosv3.app.sealing import following, open_ring
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.toolsettings import ToolServerSettings, ToolZoneSettings
from aiosv3.app.topology import zone_records, zone_topics
from aiosv3.app.workers import clock, effectors, ensure, open_mesh, register_released, serve, wiring_of
from aiosv3.streams.processor import Processor
from aiosv3.tools import Secrets, SecretUnusable, ServedTools, ServerPolicy, ToolRefused, ToolWorker, Zone
from aiosv3.tools.kinds import ServerPlace, UnknownServer, open_server
from aiosv3.tools.openapi import BadDescription

_FETCH_S: Final = 30.0
_LARGEST_SPEC: Final = 16 * 1024 * 1024


def zone_named(settings: Settings, name: str) -> ToolZoneSettings:
    """The settings of a zone. Raises :class:`SettingsError`, which says what there is."""
    if name not in settings.tools:
        known = ", ".join(sorted(settings.tools)) or "none: write [tools.NAME] in aiosv3.toml"
        raise SettingsError(f"there is no tool zone {name!r}; there is {known}")
    return settings.tools[name]


def open_zone(settings: Settings, name: str) -> dict[str, ServedTools]:
    """The servers of a zone, not connected yet. Raises :class:`SettingsError` for what could not work."""
    zone = zone_named(settings, name)
    return {server: _served(settings, name, zone, server) for server in sorted(zone.servers)}


def _served(settings: Settings, zone_name: str, zone: ToolZoneSettings, name: str) -> ServedTools:
    given = zone.servers[name]
    try:
        secrets = Secrets({secret: find_secret(settings, secret) for secret in given.secrets})
        server = open_server(given.kind, _place(settings, zone, given, secrets))
    except (UnknownServer, BadDescription, SecretUnusable, ToolRefused) as error:
        raise SettingsError(f"tools.{zone_name}.servers.{name}: {error}") from None
    policy = ServerPolicy(
        timeout=given.timeout, timeouts=given.timeouts, retry=given.retry, concurrency=given.concurrency
    )
    return ServedTools(name, server, policy, secrets)


def _place(settings: Settings, zone: ToolZoneSettings, given: ToolServerSettings, secrets: Secrets) -> ServerPlace:
    folder = given.root if given.root is not None else given.folder
    return ServerPlace(
        command=_program(settings, given.command),
        args=tuple(given.args),
        env={name: secrets.fill(value) for name, value in given.env.items()},
        folder=settings.folder.resolve() if folder is None else (settings.folder / folder).resolve(),
        url=given.url,
        headers={name: secrets.fill(value) for name, value in given.headers.items()},
        era=given.era,
        methods=tuple(given.methods),
        paths=tuple(given.paths),
        private=tuple(given.private),
        description=_description(settings, given.spec) if given.spec else b"",
        write=given.write,
        limit=zone.hard_bytes,
        timeout=given.timeout,
    )


def _program(settings: Settings, command: str) -> str:
    """A path is the project's; ``python`` is the interpreter of this worker; other names are looked for in PATH."""
    if command == "python":
        return sys.executable
    return str((settings.folder / command).resolve()) if "/" in command else command


def _description(settings: Settings, spec: str) -> bytes:
    if not spec.startswith(("http://", "https://")):
        path = settings.folder / spec
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnknownServer(f"the description {path} cannot be read: {error.strerror}") from None
    import httpx

    try:
        answer = httpx.get(spec, timeout=_FETCH_S, follow_redirects=True, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise UnknownServer(f"the description {spec} cannot be fetched: {type(error).__name__}: {error}") from None
    if len(answer.content) > _LARGEST_SPEC:
        raise UnknownServer(f"the description {spec} is over {_LARGEST_SPEC} bytes")
    return answer.content


def find_secret(settings: Settings, name: str, environment: Mapping[str, str] | None = None) -> str:
    """A secret by its name: ``AIOSV3_SECRET_NAME`` in the environment, a file ``secrets/name`` beside the project file,
    ``[secrets]`` in the settings, in this order. Raises :class:`SettingsError`.
    """
    variable = f"AIOSV3_SECRET_{name.upper().replace('-', '_')}"
    path = settings.folder / "secrets" / Path(name).name
    if found := (os.environ if environment is None else environment).get(variable):
        return found
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"secret {name}: {path} cannot be read: {type(error).__name__}") from None
    if name in settings.secrets:
        return settings.secrets[name].get_secret_value()
    raise SettingsError(f"there is no secret {name}: set {variable}, or write it into {path}")


async def run_zone(settings: Settings, name: str) -> None:
    """A tool worker of zone ``name``."""
    given = zone_named(settings, name)
    servers = open_zone(settings, name)
    zone = Zone(name, given.clearance, max_bytes=given.max_bytes, hard_bytes=given.hard_bytes)
    async with open_mesh(settings, f"aiosv3-tools-{name}") as mesh:
        topics = mesh.topics
        await ensure(mesh, zone_topics(settings, topics, name))
        inputs, own = topics.tools(name), topics.tool_results(name)
        await register_released(mesh, zone_records(topics, name))
        ring = await open_ring(mesh, given.clearance)
        wiring = wiring_of(mesh, f"tools.{name}", inputs, own)
        worker = ToolWorker(zone, servers, mesh.codec, clock, mesh.claims, ring, wiring.member.alive)
        try:
            tenures = effectors(wiring, worker, given.concurrency, topics.dead_letters())
            await serve(mesh, Processor(wiring, tenures), following(ring))
        finally:
            await worker.aclose()
