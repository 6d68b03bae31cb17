"""Settings of a project: ``aiosv3.toml``, overridden by ``AIOSV3_…`` (``AIOSV3_KAFKA__BOOTSTRAP`` and so on).

Read once at start; nothing else in the distribution looks at the environment, except for the API keys named here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from aiosv3.agents.agent import parse_usd
from aiosv3.app.budgetsettings import BudgetsSettings
from aiosv3.app.memorysettings import MemorySettings
from aiosv3.app.poolsettings import PoolSettings, http_url, parse_clearance
from aiosv3.app.scansettings import PresidioSettings
from aiosv3.app.sealingsettings import SealingSettings
from aiosv3.app.toolsettings import ToolZoneSettings
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.topics import Topics

__all__ = [
    "PROJECT_FILE",
    "AgentSettings",
    "BudgetsSettings",
    "ClaimsSettings",
    "KafkaSettings",
    "MemorySettings",
    "MeshSettings",
    "MetricsSettings",
    "PersonSettings",
    "PoolSettings",
    "RegistrySettings",
    "Settings",
    "SettingsError",
    "UpSettings",
    "file_values",
    "find_project",
    "load_settings",
    "project_file",
]

PROJECT_FILE: Final = "aiosv3.toml"

_BROKER: Final = re.compile(r"(?:[a-zA-Z_]+://)?(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?")


class SettingsError(AiosError):
    """A setting is wrong; says which, where and what would be right."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """Where the log is. ``properties`` go to librdkafka as they are (security and so on)."""

    bootstrap: str = ""
    """Empty: the broker of ``aiosv3 up`` in this project's state folder."""
    prefix: str = "aios."
    """Of the names of all topics, groups and subjects."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Of each topic when it is created; they never change. 64 where growth is thinkable."""
    session_ms: Annotated[int, Field(ge=1_000)] = 6_000
    """Milliseconds without a word from a worker after which its partitions go to another one. A broker with KIP-848 has
    a time of its own: that is used where it is not longer than this."""
    instance: Annotated[str, Field(max_length=200)] = ""
    """A name of this worker that no other one has (KIP-345): killed and started again under it, it has its partitions
    back at once, not after a session. ``aiosv3 up`` names its workers itself; elsewhere, a stable name of the place."""
    properties: dict[str, SecretStr] = {}
    """Of librdkafka, by its names: ``"sasl.password"``. All are kept secret."""

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
    """Empty: the registry of ``aiosv3 up``, or none."""
    username: str = ""
    """For basic authentication."""
    password: SecretStr = SecretStr("")
    """For basic authentication."""
    token: SecretStr = SecretStr("")
    """For bearer authentication, instead of user name and password."""
    ca: str = ""
    """File with the certificates to trust, beside the project file where relative; empty: the usual ones."""

    _check_url = field_validator("url")(http_url)


class MeshSettings(_Group):
    """What a task has that says nothing about itself, and the secret of reply tokens."""

    tenant: Annotated[str, Field(min_length=1)] = "default"
    """Of a task that names none."""
    clearance: Clearance = Clearance.INTERNAL
    """The class of the data of a task that names none."""
    secret: SecretStr = SecretStr("")
    """Empty: a random one, kept in the state folder of this project."""

    _parse = field_validator("clearance", mode="before")(parse_clearance)


class ClaimsSettings(_Group):
    """The claim store: a folder, beside the project file where relative, or a url that fsspec knows (``s3://…``, with
    ``aiosv3[claims]``). Empty: ``claims`` in the state folder. All workers of a mesh need the same one.
    """

    url: str = ""
    """A folder, or ``s3://bucket/place``."""

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, value: str) -> str:
        if urlsplit(value).password is not None:
            raise ValueError("a URL must carry no password: the store's driver has settings and variables of its own")
        return value


class AgentSettings(_Group):
    """Overrides for one agent."""

    pool: str | None = None
    """The only pool that it may use."""
    model: str | None = None
    """The only model that it may use."""
    budget: float | None = None
    """US dollars that the tree of a task may spend, instead of those in the code."""
    clearance: Clearance | None = None
    """The least class of its prompts; it can only rise above the one in the code."""
    park_after: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which an open task no longer holds back its partition: a carry in the journal stands for it."""

    _parse = field_validator("clearance", mode="before")(parse_clearance)

    @field_validator("budget")
    @classmethod
    def _money(cls, value: float | None) -> float | None:
        if value is not None:
            parse_usd(value)
        return value


class PersonSettings(_Group):
    """Somebody who may answer questions, and the roles in which they may."""

    roles: list[Annotated[str, Field(min_length=1)]] = []
    """Those that an agent asks for with ``by=``."""


class MetricsSettings(_Group):
    """Prometheus: a port for each process (``AIOSV3_METRICS__PORT``); 0 serves nothing. ``aiosv3 up`` gives each
    of its processes a free one.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Where ``/metrics`` is served; 0: nowhere."""
    host: str = "127.0.0.1"
    """The address that it listens on."""


class UpSettings(_Group):
    """What ``aiosv3 up`` starts: processes of each kind. Ports 0: free ones, the same each time."""

    agents: Annotated[int, Field(ge=0, le=64)] = 1
    """Workers of each agent."""
    routers: Annotated[int, Field(ge=0, le=64)] = 1
    """Routers."""
    models: Annotated[int, Field(ge=0, le=64)] = 1
    """Model workers of each pool."""
    tools: Annotated[int, Field(ge=0, le=64)] = 1
    """Tool workers of each zone."""
    desks: Annotated[int, Field(ge=0, le=64)] = 1
    """Desks, which check what people answer."""
    memories: Annotated[int, Field(ge=0, le=64)] = 1
    """Memory workers, where ``[memory] on`` is true."""
    kafka_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Of the embedded broker."""
    registry_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Of the embedded schema registry."""


class Settings(BaseSettings):
    """Everything. ``folder`` is where ``aiosv3.toml`` lies; the state folder is ``.aiosv3`` in it."""

    model_config = SettingsConfigDict(env_prefix="AIOSV3_", env_nested_delimiter="__", extra="forbid", frozen=True)

    folder: Path = Path()
    state: Path = Path(".aiosv3")
    """The state folder, beside the project file where relative."""
    agents: list[str] = []
    """The agents of the project, each as ``module:function``."""
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    mesh: MeshSettings = MeshSettings()
    claims: ClaimsSettings = ClaimsSettings()
    sealing: SealingSettings = SealingSettings()
    pools: dict[str, PoolSettings] = {}
    agent: dict[str, AgentSettings] = {}
    budgets: BudgetsSettings = BudgetsSettings()
    tools: dict[str, ToolZoneSettings] = {}
    memory: MemorySettings = MemorySettings()
    secrets: dict[str, SecretStr] = {}
    """Of tools, by name. Better: AIOSV3_SECRET_NAME, or a file ``secrets/name`` beside the project file."""
    people: dict[str, PersonSettings] = {}
    """Empty: whoever says a name may answer in any role. For the stack of one developer."""
    up: UpSettings = UpSettings()
    metrics: MetricsSettings = MetricsSettings()
    presidio: PresidioSettings = PresidioSettings()

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
    values = file_values(found)
    source = f"{PROJECT_FILE} or AIOSV3_…" if found is None else str(found)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(f"{source}: {_words(error)}") from None
    except UnreadableVariable as error:
        raise SettingsError(f"the environment: {error}: lists and tables are written as JSON there") from None


def file_values(found: Path | None) -> dict[str, Any]:
    """What a project file says, as :class:`Settings` takes it; nothing where there is none."""
    values: dict[str, Any] = {} if found is None else _read(found)
    _split_agents(values)
    return values


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
    first = next(
        (fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0]
    )  # a typo explains the rest
    where = ".".join(str(part) for part in first["loc"])
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = _unknown(first["loc"])
    elif first["type"] == "model_type":
        said = f"this is a table: write [{where}], and its settings below"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where}: {said}{more}" if where else f"{said}{more}"


def _unknown(place: tuple[int | str, ...]) -> str:
    if "key" in str(place[-1]) and place[0] == "pools":
        return "keys do not belong into a file: name the environment variable that holds it with api_key_env"
    group: Any = Settings
    for part in place[:-1]:
        is_table = isinstance(group, type) and issubclass(group, BaseModel)
        group = group.model_fields[str(part)].annotation if is_table else get_args(group)[1]
    names = {field.alias or name for name, field in group.model_fields.items()}  # as they are written
    return f"there is no such setting; there are {', '.join(sorted(names - {'folder'}))}"
