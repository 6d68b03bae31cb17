"""Settings of a project: ``aiosv3.toml``, overridden by ``AIOSV3_…`` (``AIOSV3_KAFKA__BOOTSTRAP`` and so on).

Read once at start; nothing else in the distribution looks at the environment, except for the API keys named here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from aiosv3.agents.agent import parse_usd
from aiosv3.app.toolsettings import ToolZoneSettings
from aiosv3.router.endpoints.weights import SMOLLM2
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.topics import Topics

PROJECT_FILE: Final = "aiosv3.toml"

_BROKER: Final = re.compile(r"(?:[a-zA-Z_]+://)?(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?")
_CALL_TOOLS: Final = frozenset({"openai", "anthropic"})
_LOCAL_DEFAULTS: Final = {
    "model": SMOLLM2.model,
    "clearance": Clearance.RESTRICTED,  # it never leaves the machine
    "context_window": 2_048,  # it could read more, but not in a time that anybody waits
    "quality": 0.1,
    "concurrency": 4,
}


class SettingsError(AiosError):
    """A setting is wrong; says which, where and what would be right."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _clearance(value: Any) -> Any:
    return Clearance.parse(value) if isinstance(value, str) else value


def _http_url(value: str) -> str:
    """Empty, or an absolute http(s) URL without credentials, which belong into settings that are kept secret."""
    if not value:
        return value
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("this is no absolute http(s) URL: write it as http://host:port/path")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL must carry no credentials: they have settings of their own")
    return value


class KafkaSettings(_Group):
    """Where the log is. ``properties`` go to librdkafka as they are (security and so on)."""

    bootstrap: str = ""
    """Empty: the broker of ``aiosv3 up`` in this project's state folder."""
    prefix: str = "aios."
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    session_ms: Annotated[int, Field(ge=1_000)] = 6_000
    properties: dict[str, SecretStr] = {}

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in filter(None, (part.strip() for part in value.split(","))):
            found = _BROKER.fullmatch(address)
            if address.startswith("http") or found is None or not 0 < int(found[1] or 9092) < 65_536:
                raise ValueError(f"{address!r} is no broker address: write host:port, several with commas")
        return value.strip()

    @field_validator("prefix")
    @classmethod
    def _topics(cls, value: str) -> str:
        return Topics(value).prefix


class RegistrySettings(_Group):
    """A Confluent-compatible schema registry. Empty ``url``: that of ``aiosv3 up``, or none."""

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    ca: str = ""
    """File with the certificates to trust, beside the project file where relative; empty: the usual ones."""

    _check_url = field_validator("url")(_http_url)


class MeshSettings(_Group):
    """What a task has that says nothing about itself, and the secret of reply tokens."""

    tenant: Annotated[str, Field(min_length=1)] = "default"
    clearance: Clearance = Clearance.INTERNAL
    secret: SecretStr = SecretStr("")
    """Empty: a random one, kept in the state folder of this project."""

    _parse = field_validator("clearance", mode="before")(_clearance)


class ClaimsSettings(_Group):
    """The claim store: a folder, beside the project file where relative, or a url that fsspec knows (``s3://…``, with
    ``aiosv3[claims]``). Empty: ``claims`` in the state folder. All workers of a mesh need the same one.
    """

    url: str = ""

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, value: str) -> str:
        if urlsplit(value).password is not None:
            raise ValueError("a URL must carry no password: the store's driver has settings and variables of its own")
        return value


class PoolSettings(_Group):
    """A pool: an endpoint, its model, what it may see, what it costs (US dollars per million tokens).

    ``kind = "local"`` knows its model and limits itself; the others need ``model``, and vLLM a ``base_url``.
    """

    kind: Literal["openai", "anthropic", "vllm", "local"]
    base_url: str = ""
    """Empty: the provider's own."""
    model: str = ""
    api_key_env: str = ""
    """Name of the environment variable with the key. Default: the provider's usual one for the provider's own URL,
    none for another ``base_url``: a key goes to nobody for whom it was not made."""
    clearance: Clearance = Clearance.PUBLIC
    input_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    output_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cached_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    context_window: Annotated[int, Field(ge=1)] = 128_000
    quality: Annotated[float, Field(ge=0, le=1)] = 0.5
    capabilities: list[Literal["json", "tools", "vision"]] = ["json"]
    """What its model can do; with ``tools`` by default where the provider's own API is asked."""
    concurrency: Annotated[int, Field(ge=1)] = 32
    timeout: Annotated[float, Field(gt=0)] = 120.0

    _parse = field_validator("clearance", mode="before")(_clearance)
    _check_url = field_validator("base_url")(_http_url)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("kind") == "local":
            return {**_LOCAL_DEFAULTS, **values}
        if values.get("kind") in _CALL_TOOLS and not values.get("base_url"):
            return {"capabilities": ["json", "tools"], **values}
        return values

    @model_validator(mode="after")
    def _complete(self) -> PoolSettings:
        if self.kind == "local":
            if self.model != SMOLLM2.model:
                raise ValueError(f"the local model is {SMOLLM2.model}: leave model out, or choose another kind")
            if self.base_url:
                raise ValueError("the local model runs in its worker: leave base_url out, or choose another kind")
        elif not self.model:
            raise ValueError(f'{self.kind} needs the name of a model: model = "…"')
        if self.kind == "vllm" and not self.base_url:
            raise ValueError('vllm needs an address: base_url = "http://HOST:8000/v1"')
        return self


class AgentSettings(_Group):
    """Overrides for one agent."""

    pool: str | None = None
    model: str | None = None
    budget: float | None = None
    clearance: Clearance | None = None
    park_after: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which an open task no longer holds back its partition: a carry in the journal stands for it."""

    _parse = field_validator("clearance", mode="before")(_clearance)

    @field_validator("budget")
    @classmethod
    def _money(cls, value: float | None) -> float | None:
        if value is not None:
            parse_usd(value)
        return value


class PersonSettings(_Group):
    """Somebody who may answer questions, and the roles in which they may."""

    roles: list[Annotated[str, Field(min_length=1)]] = []


class MetricsSettings(_Group):
    """Prometheus: a port for each process (``AIOSV3_METRICS__PORT``); 0 serves nothing. ``aiosv3 up`` gives each
    of its processes a free one.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    host: str = "127.0.0.1"


class UpSettings(_Group):
    """What ``aiosv3 up`` starts: processes of each kind. Ports 0: free ones, the same each time."""

    agents: Annotated[int, Field(ge=0, le=64)] = 1
    routers: Annotated[int, Field(ge=0, le=64)] = 1
    models: Annotated[int, Field(ge=0, le=64)] = 1
    tools: Annotated[int, Field(ge=0, le=64)] = 1
    desks: Annotated[int, Field(ge=0, le=64)] = 1
    kafka_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    registry_port: Annotated[int, Field(ge=0, le=65_535)] = 0


class Settings(BaseSettings):
    """Everything. ``folder`` is where ``aiosv3.toml`` lies; the state folder is ``.aiosv3`` in it."""

    model_config = SettingsConfigDict(env_prefix="AIOSV3_", env_nested_delimiter="__", extra="forbid", frozen=True)

    folder: Path = Path()
    state: Path = Path(".aiosv3")
    agents: list[str] = []
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    mesh: MeshSettings = MeshSettings()
    claims: ClaimsSettings = ClaimsSettings()
    pools: dict[str, PoolSettings] = {}
    agent: dict[str, AgentSettings] = {}
    tools: dict[str, ToolZoneSettings] = {}
    secrets: dict[str, SecretStr] = {}
    """Of tools, by name. Better: AIOSV3_SECRET_NAME, or a file ``secrets/name`` beside the project file."""
    people: dict[str, PersonSettings] = {}
    """Empty: whoever says a name may answer in any role. For the stack of one developer."""
    up: UpSettings = UpSettings()
    metrics: MetricsSettings = MetricsSettings()

    @field_validator("tools")
    @classmethod
    def _zones(cls, value: dict[str, ToolZoneSettings]) -> dict[str, ToolZoneSettings]:
        for name in value:
            Topics().tools(name)
        return value

    @field_validator("pools")
    @classmethod
    def _names(cls, value: dict[str, PoolSettings]) -> dict[str, PoolSettings]:
        for name in value:
            Topics().pool_prompts(name)
        return value

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

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The people of the project, and what each may answer."""
        return {name: tuple(person.roles) for name, person in self.people.items()}

    @property
    def claims_url(self) -> str:
        """Where the claim store is: the url as given, or a folder."""
        given = self.claims.url
        if "://" in given:
            return given
        return str((self.folder / given).resolve() if given else self.state_folder / "claims")


def load_settings(path: Path | None = None) -> Settings:
    """Reads ``path`` (a file, or the folder of an ``aiosv3.toml``), else the nearest ``aiosv3.toml`` at the working
    folder or above; none at all means defaults. Raises :class:`SettingsError` in words.
    """
    found = project_file(path)
    values: dict[str, Any] = {} if found is None else _read(found)
    _split_agents(values)
    source = f"{PROJECT_FILE} or AIOSV3_…" if found is None else str(found)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(f"{source}: {_words(error)}") from None
    except UnreadableVariable as error:
        raise SettingsError(f"the environment: {error}: lists and tables are written as JSON there") from None


def project_file(path: Path | None = None) -> Path | None:
    """The project file that ``path`` means, as :func:`load_settings` reads it."""
    if path is None:
        return find_project(Path.cwd())
    return path / PROJECT_FILE if path.is_dir() else path


def find_project(start: Path) -> Path | None:
    """The nearest ``aiosv3.toml`` at ``start`` or above."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    return {**values, "folder": path.parent.resolve()}


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
        rest = dict(table)
        if "function" in rest:
            functions.append(rest.pop("function"))
        overrides[name] = {**overrides.get(name, {}), **rest}
    values["agents"] = functions


def _words(error: ValidationError) -> str:
    """The first thing that is wrong: its place, what it is, what would be right. Never the value: it may be a key."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    first = faults[0]
    where = ".".join(str(part) for part in first["loc"])
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = _unknown(first["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where}: {said}{more}" if where else f"{said}{more}"


def _unknown(place: tuple[int | str, ...]) -> str:
    if "key" in str(place[-1]) and place[0] == "pools":
        return "keys do not belong into a file: name the environment variable that holds it with api_key_env"
    group: Any = Settings
    for part in place[:-1]:
        is_table = isinstance(group, type) and issubclass(group, BaseModel)
        group = group.model_fields[str(part)].annotation if is_table else get_args(group)[1]
    return f"there is no such setting; there are {', '.join(sorted(set(group.model_fields) - {'folder'}))}"
