"""The agents and pools of a project, loaded and put together from its settings."""

from __future__ import annotations

import importlib
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from aiosv3.agents import Agent
from aiosv3.agents.agent import Limits, parse_usd
from aiosv3.app.settings import AgentSettings, PoolSettings, Settings, SettingsError
from aiosv3.router.pools import Pool, Price
from aiosv3.schemas.headers import Clearance

LOCAL_POOL: Final = "local"
_KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_USUAL_SERVERS: Final = ((11434, "ollama", "llama3.2"), (8000, "vllm", ""), (8080, "llama-cpp", ""))


def load_agents(settings: Settings) -> dict[str, Agent[Any, Any]]:
    """The project's agents by name, with the overrides of the project file. Raises :class:`SettingsError`."""
    folder = str(settings.folder.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    agents: dict[str, Agent[Any, Any]] = {}
    for place in settings.agents_modules:
        found = _load(place)
        if found.name in agents:
            raise SettingsError(f"two agents are named {found.name!r}: give one of them another name=")
        agents[found.name] = _overridden(found, settings.agent.get(found.name, AgentSettings()))
    unknown = sorted(settings.agent.keys() - agents.keys())
    if unknown:
        raise SettingsError(f"settings for agents that are not in the project: {', '.join(unknown)}")
    return agents


def _load(place: str) -> Agent[Any, Any]:
    module_name, _, attribute = place.partition(":")
    if not attribute:
        raise SettingsError(f"agents: {place!r} is not module:function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SettingsError(f"agents: {place!r} cannot be imported: {error}") from None
    found = getattr(module, attribute, None)
    if not isinstance(found, Agent):
        raise SettingsError(f"agents: {place!r} is no agent: put @agent above an async function of that name")
    return found


def _overridden(agent: Agent[Any, Any], override: AgentSettings) -> Agent[Any, Any]:
    limits = agent.limits
    if override.budget is not None:
        limits = Limits(parse_usd(override.budget), limits.model_calls, limits.depth, limits.deadline)
    return replace(
        agent,
        limits=limits,
        clearance=agent.clearance if override.clearance is None else max(agent.clearance, override.clearance),
        model=override.model or agent.model,
        pool=override.pool or agent.pool,
    )


def find_pools(settings: Settings, environment: Mapping[str, str] | None = None) -> dict[str, PoolSettings]:
    """The pools to use: project file; else API keys in the environment; else a local server; else the local model."""
    if settings.pools:
        return dict(settings.pools)
    keys = os.environ if environment is None else environment
    found: dict[str, PoolSettings] = {}
    if keys.get(_KEYS["openai"]):
        found["openai"] = PoolSettings(
            kind="openai", model="gpt-4o-mini", quality=0.7, input_usd_per_mtok=0.15, output_usd_per_mtok=0.6
        )
    if keys.get(_KEYS["anthropic"]):
        found["anthropic"] = PoolSettings(
            kind="anthropic",
            model="claude-3-5-haiku-latest",
            quality=0.75,
            input_usd_per_mtok=0.8,
            output_usd_per_mtok=4.0,
        )
    if found:
        return found
    for port, name, model in _USUAL_SERVERS:
        if _listens(port):
            url = f"http://127.0.0.1:{port}/v1"
            return {
                name: PoolSettings(
                    kind="openai", base_url=url, model=model, clearance=Clearance.RESTRICTED, quality=0.5
                )
            }
    return {LOCAL_POOL: local_pool()}


def local_pool() -> PoolSettings:
    """The in-process toy model: it never leaves the machine, so it may see everything, and it knows little."""
    return PoolSettings(
        kind="local",
        model="SmolLM2-135M-Instruct",
        clearance=Clearance.RESTRICTED,
        context_window=2_048,
        quality=0.1,
        concurrency=4,
    )


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False


def api_key(pool: PoolSettings, environment: Mapping[str, str] | None = None) -> SecretStr | None:
    """The key of a pool from the environment variable that it names, or its provider's usual one."""
    keys = os.environ if environment is None else environment
    value = keys.get(pool.api_key_env or _KEYS.get(pool.kind, ""), "")
    return SecretStr(value) if value else None


def pool_of(name: str, settings: PoolSettings) -> Pool:
    """The pool as router and worker see it."""

    def micros(usd: float) -> int:
        return round(usd * 1_000_000)

    cached = settings.cached_usd_per_mtok
    return Pool(
        name=name,
        kind=settings.kind,
        model=settings.model,
        clearance=settings.clearance,
        price=Price(
            micros(settings.input_usd_per_mtok),
            micros(settings.output_usd_per_mtok),
            None if cached is None else micros(cached),
        ),
        context_window=settings.context_window,
        quality=settings.quality,
        capabilities=frozenset(settings.capabilities),
    )


def mesh_secret(settings: Settings) -> bytes:
    """The secret of reply tokens: as configured, else a random one that this project's state folder keeps."""
    given = settings.mesh.secret.get_secret_value()
    if given:
        return given.encode()
    path = settings.state_folder / "mesh-secret"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return _new_secret(path)


def _new_secret(path: Path) -> bytes:
    """Written beside and linked into place: whoever comes first wins, and nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_hex(32).encode())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_bytes()
