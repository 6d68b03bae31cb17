"""The agents and pools of a project, loaded and put together from its settings."""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import socket
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from aiosv3.agents import Agent
from aiosv3.agents.agent import parse_usd
from aiosv3.app.settings import AgentSettings, PoolSettings, Settings, SettingsError
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance

if TYPE_CHECKING:  # workers of agents start without routers and prices
    from aiosv3.app.pricing import Priced
    from aiosv3.router.pools import Pool

LOCAL_POOL: Final = "local"
_KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_CONNECT_S: Final = 0.2
_ASK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A model server on this machine, where people usually have it."""

    name: str
    port: int

    @property
    def base_url(self) -> str:
        """Of its OpenAI-compatible API."""
        return f"http://127.0.0.1:{self.port}/v1"


USUAL_SERVERS: Final = (LocalServer("ollama", 11_434), LocalServer("vllm", 8_000), LocalServer("llama-cpp", 8_080))


def load_agents(settings: Settings) -> dict[str, Agent[Any, Any]]:
    """The project's agents by name, with the overrides of the project file. Raises :class:`SettingsError`."""
    folder = str(settings.folder.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    agents: dict[str, Agent[Any, Any]] = {}
    for place in settings.agents:
        found = _load(place, folder)
        if found.name in agents:
            raise SettingsError(f"two agents are named {found.name!r}: give one of them another name=")
        agents[found.name] = _overridden(found, settings.agent.get(found.name, AgentSettings()))
    unknown = sorted(settings.agent.keys() - agents.keys())
    if unknown:
        raise SettingsError(
            f"there are settings for agents that the project does not have: {', '.join(unknown)}; {_known(agents)}"
        )
    if settings.pools:
        check_pins(agents.values(), settings.pools)
    return agents


def agent_named(settings: Settings, name: str) -> Agent[Any, Any]:
    """One agent of the project. Raises :class:`SettingsError`, which says what there is."""
    agents = load_agents(settings)
    if name not in agents:
        raise SettingsError(f"there is no agent {name!r} in this project; {_known(agents)}")
    return agents[name]


def _known(agents: Mapping[str, Agent[Any, Any]]) -> str:
    if not agents:
        return 'it has none: list them in aiosv3.toml, agents = ["module:function"]'
    return f"it has {', '.join(sorted(agents))}"


def _load(place: str, folder: str) -> Agent[Any, Any]:
    module_name, _, attribute = place.partition(":")
    if not attribute or not module_name:
        raise SettingsError(f"agents: {place!r} is not module:function")
    found = getattr(_imported(place, module_name, folder), attribute, None)
    if not isinstance(found, Agent):
        raise SettingsError(f"agents: {place!r} is no agent: put @agent above an async function of that name")
    return found


def _imported(place: str, module_name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"agents: {place!r} cannot be imported: {error}; it was looked for in {folder} and among what is installed"
        ) from None
    except AiosError as error:
        raise SettingsError(f"agents: {place!r}: {error}") from None
    except Exception as error:  # noqa: BLE001 -- the project's own code at work: whatever it raises, it does not load
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}, line {frame.lineno}"
        raise SettingsError(
            f"agents: {place!r} cannot be imported: {type(error).__name__}: {error} ({where})"
        ) from None


def _overridden(agent: Agent[Any, Any], override: AgentSettings) -> Agent[Any, Any]:
    limits = agent.limits
    if override.budget is not None:
        limits = replace(limits, usd_micros=parse_usd(override.budget))
    return replace(
        agent,
        limits=limits,
        clearance=agent.clearance if override.clearance is None else max(agent.clearance, override.clearance),
        model=override.model or agent.model,
        pool=override.pool or agent.pool,
    )


def check_pins(agents: Iterable[Agent[Any, Any]], pools: Mapping[str, PoolSettings]) -> None:
    """Raises :class:`SettingsError` where an agent asks for a pool that there is not: no call of it could be routed."""
    for agent in agents:
        if agent.pool is not None and agent.pool not in pools:
            raise SettingsError(
                f"agent {agent.name} wants pool {agent.pool!r}, which there is not; there is {', '.join(sorted(pools))}"
            )


def find_pools(
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    servers: Sequence[LocalServer] = USUAL_SERVERS,
) -> dict[str, PoolSettings]:
    """The pools to use: project file; else API keys in the environment; else a local server; else the local model.

    May ask this machine's usual ports, so answers can differ from call to call: ``aiosv3 up`` asks once for all of its
    processes. Blocks for at most about two seconds a server.
    """
    if settings.pools:
        return dict(settings.pools)
    keys = os.environ if environment is None else environment
    found = {kind: _cloud_pool(kind) for kind, variable in _KEYS.items() if keys.get(variable)}
    if found:
        return found
    for server in servers:
        model = served_model(server)
        if model is not None:
            return {server.name: _server_pool(server, model)}
    return {LOCAL_POOL: local_pool()}


def _cloud_pool(kind: str) -> PoolSettings:
    """A small model of the provider, for public data only: more must be allowed in the file."""
    if kind == "openai":
        return PoolSettings(kind="openai", model="gpt-4o-mini", quality=0.7)
    return PoolSettings(kind="anthropic", model="claude-haiku-4-5", quality=0.75)


def _server_pool(server: LocalServer, model: str) -> PoolSettings:
    """What stays on this machine may see everything."""
    return PoolSettings(kind="openai", base_url=server.base_url, model=model, clearance=Clearance.RESTRICTED)


def local_pool() -> PoolSettings:
    """The in-process toy model: it never leaves the machine, so it may see everything, and it knows little."""
    return PoolSettings(kind="local")


def served_model(server: LocalServer) -> str | None:
    """The first model that a server says it has; None where none listens, or it is something else on that port."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=_CONNECT_S).close()
    except OSError:
        return None
    import httpx

    try:
        answer = httpx.get(f"{server.base_url}/models", timeout=_ASK_S, trust_env=False)
        found = answer.json()["data"][0]["id"] if answer.is_success else None
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) and found else None


def api_key(name: str, pool: PoolSettings, environment: Mapping[str, str] | None = None) -> SecretStr | None:
    """The key of pool ``name`` from the environment variable that it names, or its provider's usual one.

    The usual one is used for the provider's own URL only: another server must not get it. Raises
    :class:`SettingsError` where the variable is empty.
    """
    variable = pool.api_key_env or ("" if pool.base_url else _KEYS.get(pool.kind, ""))
    if not variable:
        return None
    value = (os.environ if environment is None else environment).get(variable, "")
    if not value:
        raise SettingsError(f"pool {name} needs a key: set {variable} in the environment, or take the pool out")
    return SecretStr(value)


def check_local_runtime(name: str, pool: PoolSettings) -> None:
    """Raises :class:`SettingsError` where pool ``name`` needs the in-process model's runtime and it is missing."""
    if pool.kind == "local" and importlib.util.find_spec("openvino_genai") is None:
        raise SettingsError(
            f"pool {name} is the local model, whose runtime is not installed: pip install 'aiosv3[local]', set "
            "OPENAI_API_KEY or ANTHROPIC_API_KEY, or name an endpoint in [pools.NAME]"
        )


def priced_pools(settings: Settings, pools: Mapping[str, PoolSettings], now: int) -> tuple[list[Pool], str]:
    """The pools as router and workers see them, and the version of all their prices; the log says what they cost.

    Raises :class:`SettingsError` and ``BadPrices``.
    """
    from aiosv3.app.pricing import settled_prices

    prices = settled_prices(settings, pools, now)
    return [pool_of(name, pool, prices.pools[name]) for name, pool in pools.items()], prices.version


def pool_of(name: str, settings: PoolSettings, priced: Priced) -> Pool:
    """The pool as router and worker see it."""
    from aiosv3.app.pricing import Says
    from aiosv3.router.pools import Pool

    return Pool(
        name=name,
        kind=settings.kind,
        model=settings.model,
        clearance=settings.clearance,
        price=priced.price,
        context_window=settings.context_window,
        quality=settings.quality,
        capabilities=frozenset(settings.capabilities),
        region=settings.region,
        data_terms=frozenset(settings.data_terms),
        priced=priced.says is not Says.NOBODY,
        later=priced.later,
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
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_hex(32).encode())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_bytes()
