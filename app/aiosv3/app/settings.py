"""Settings of a project: ``aiosv3.toml``, overridden by ``AIOSV3_…`` (``AIOSV3_KAFKA__BOOTSTRAP`` and so on).

Read once at start; nothing else in the distribution looks at the environment, except for the API keys named here.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from aiosv3.agents.agent import parse_usd
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance

PROJECT_FILE = "aiosv3.toml"


class SettingsError(AiosError):
    """A setting is wrong; says which, where and what would be right."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _clearance(value: Any) -> Any:
    return Clearance.parse(value) if isinstance(value, str) else value


class KafkaSettings(_Group):
    """Where the log is. ``properties`` go to librdkafka as they are (security and so on)."""

    bootstrap: str = ""
    """Empty: the broker of ``aiosv3 up`` in this project's state folder."""
    prefix: str = "aios."
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    replication: Annotated[int, Field(ge=-1)] = -1
    """-1: the broker's default."""
    session_ms: Annotated[int, Field(ge=1_000)] = 6_000
    properties: dict[str, str] = {}


class RegistrySettings(_Group):
    """A Confluent-compatible schema registry. Empty ``url``: that of ``aiosv3 up``, or none."""

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    ca: str = ""


class MeshSettings(_Group):
    """What a task has that says nothing about itself, and the secret of reply tokens."""

    tenant: str = "default"
    clearance: Clearance = Clearance.INTERNAL
    secret: SecretStr = SecretStr("")
    """Empty: a random one, kept in the state folder of this project."""

    _parse = field_validator("clearance", mode="before")(_clearance)


class PoolSettings(_Group):
    """A pool: an endpoint, its model, what it may see, what it costs (US dollars per million tokens)."""

    kind: Literal["openai", "anthropic", "vllm", "local"]
    base_url: str = ""
    model: str = ""
    api_key_env: str = ""
    """Name of the environment variable with the key; default: the provider's usual one."""
    clearance: Clearance = Clearance.PUBLIC
    input_usd_per_mtok: float = 0.0
    output_usd_per_mtok: float = 0.0
    cached_usd_per_mtok: float | None = None
    context_window: int = 128_000
    quality: Annotated[float, Field(ge=0, le=1)] = 0.5
    capabilities: list[str] = ["json"]
    concurrency: Annotated[int, Field(ge=1)] = 32
    timeout: Annotated[float, Field(gt=0)] = 120.0

    _parse = field_validator("clearance", mode="before")(_clearance)


class AgentSettings(_Group):
    """Overrides for one agent."""

    pool: str | None = None
    model: str | None = None
    budget: float | None = None
    clearance: Clearance | None = None

    _parse = field_validator("clearance", mode="before")(_clearance)

    @field_validator("budget")
    @classmethod
    def _money(cls, value: float | None) -> float | None:
        if value is not None:
            parse_usd(value)
        return value


class MetricsSettings(_Group):
    """Prometheus: a port for each process (``AIOSV3_METRICS__PORT``); 0 serves nothing."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    host: str = "127.0.0.1"


class UpSettings(_Group):
    """What ``aiosv3 up`` starts: processes of each kind."""

    agents: int = 1
    routers: int = 1
    models: int = 1


class Settings(BaseSettings):
    """Everything. ``folder`` is where ``aiosv3.toml`` lies; the state folder is ``.aiosv3`` in it."""

    model_config = SettingsConfigDict(env_prefix="AIOSV3_", env_nested_delimiter="__", extra="forbid", frozen=True)

    folder: Path = Path()
    state: Path = Path(".aiosv3")
    agents_modules: Annotated[list[str], Field(alias="agents")] = []
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    mesh: MeshSettings = MeshSettings()
    pools: dict[str, PoolSettings] = {}
    agent: dict[str, AgentSettings] = {}
    up: UpSettings = UpSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (which is given at construction)."""
        return env_settings, init_settings

    @property
    def state_folder(self) -> Path:
        """Where this project's local stack, secret and schema lock live."""
        return self.state if self.state.is_absolute() else (self.folder / self.state).resolve()


def load_settings(path: Path | None = None) -> Settings:
    """Reads ``path``, or ``aiosv3.toml`` in the working folder or above it; none at all means defaults.

    Raises :class:`SettingsError` in words.
    """
    found = path if path is not None else find_project(Path.cwd())
    values: dict[str, Any] = {}
    if found is not None:
        try:
            values = tomllib.loads(found.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"{found} does not exist") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{found} is not TOML: {error}") from None
        values["folder"] = found.parent.resolve()
    _split_agents(values)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{found or 'the environment'}: {where}: {first['msg']}") from None


def _split_agents(values: dict[str, Any]) -> None:
    """TOML allows either ``agents = ["module:function"]`` or ``[agents.NAME]`` tables, not both in one file.

    Tables name their function (``function = "module:function"``); beside the list, ``[agent.NAME]`` overrides.
    """
    agents = values.get("agents")
    if not isinstance(agents, dict):
        return
    overrides = values.setdefault("agent", {})
    functions = []
    for name, table in agents.items():
        if not isinstance(table, dict):
            raise SettingsError(f'agents.{name}: write agents = ["module:function"], or a table [agents.{name}]')
        if "function" in table:
            functions.append(table.pop("function"))
        overrides[name] = {**overrides.get(name, {}), **table}
    values["agents"] = functions


def find_project(start: Path) -> Path | None:
    """The nearest ``aiosv3.toml`` at ``start`` or above."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None
