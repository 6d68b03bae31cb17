"""The settings that are in force, each with where it comes from; nothing secret is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr
from pydantic_settings import EnvSettingsSource

from aiosv3.app.settings import Settings
from aiosv3.schemas.headers import Clearance

HIDDEN: Final = "(hidden)"
_PREFIX: Final = "AIOSV3_"
_OTHERS: Final = ("AIOSV3_SECRET_", "AIOSV3_TEST_")
"""Variables that are no settings: secrets of tools, and what tests are told."""
_SECRET: Final = re.compile(r"(?:password|passwd|secret|token|credential|api.?key)$", re.IGNORECASE)
_TELLING: Final = re.compile(r"^(--?[\w-]*(?:password|passwd|secret|token|credential|key))(=.*)?$", re.IGNORECASE)
_HELD: Final = frozenset({"env", "headers"})
"""Tables whose values are hidden, whatever their names: they are where people put credentials."""
_PLACEHOLDER: Final = re.compile(r"\$\{[\w-]+\}")


class Source(StrEnum):
    """STACK: the running ``aiosv3 up`` of this project."""

    FILE = "file"
    ENVIRONMENT = "environment"
    STACK = "stack"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting. ``value`` is plain data; ``variable``: that of the environment which sets it, or would."""

    name: str
    value: Any
    source: Source
    variable: str

    def to_json(self) -> dict[str, Any]:
        """Stable names: ``name``, ``value``, ``source``, ``variable``."""
        return asdict(self)


def effective(settings: Settings, given: Settings, file: Mapping[str, Any]) -> list[Effective]:
    """The settings in the order of the reference.

    ``given``: as configured, before a running stack filled in its addresses; ``file``: what the project file says.
    """
    environment = EnvSettingsSource(Settings)()
    configured = dict(_leaves(given, ()))
    found = []
    for path, value in _leaves(settings, ()):
        if path == ("folder",):
            continue
        if _holds(environment, path):
            source = Source.ENVIRONMENT
        elif path in configured and configured[path] != value:
            source = Source.STACK
        else:
            source = Source.FILE if _holds(file, path) else Source.DEFAULT
        found.append(Effective(".".join(path), shown(path, value), source, _PREFIX + "__".join(path).upper()))
    return found


def unused_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and set nothing, such as ``AIOSV3_KAFKA_BOOTSTRAP``."""
    names = {name.upper() for name in Settings.model_fields}
    return sorted(
        variable
        for variable in environment
        if variable.upper().startswith(_PREFIX)
        and not variable.upper().startswith(_OTHERS)
        and variable.upper().removeprefix(_PREFIX).split("__")[0] not in names
    )


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _leaves(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    else:
        yield path, value


def _holds(values: Any, path: tuple[str, ...]) -> bool:
    """Whether ``values`` say something about ``path``, as a whole or in part."""
    for name in path:
        if not isinstance(values, Mapping):
            return True
        if name not in values:
            return False
        values = values[name]
    return True


def shown(path: tuple[str, ...], value: Any) -> Any:
    """``value`` as plain data, without what is secret or may be."""
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, Clearance):
        return value.label
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return _arguments(value)
    if isinstance(value, str) and value:
        return _text(path, value)
    return value


def _text(path: tuple[str, ...], value: str) -> str:
    if _HELD.intersection(path[:-1]):
        # What stands for a secret is none; what stands beside it may be one.
        return value if _PLACEHOLDER.fullmatch(value) else HIDDEN
    if _SECRET.search(path[-1]):
        return HIDDEN
    return _url(value) if "://" in value else value


def _url(value: str) -> str:
    parts = urlsplit(value)
    place = parts.netloc.rpartition("@")
    netloc = f"{HIDDEN}@{place[2]}" if place[1] else parts.netloc
    return urlunsplit((parts.scheme, netloc, parts.path, HIDDEN if parts.query else "", ""))


def _arguments(values: list[Any]) -> list[Any]:
    """Of a command line: the value of an option that tells by its name that it is secret."""
    found: list[Any] = []
    hide = False
    for value in values:
        telling = _TELLING.match(value) if isinstance(value, str) else None
        if hide:
            found.append(HIDDEN)
        elif telling is not None and telling[2]:
            found.append(f"{telling[1]}={HIDDEN}")
        else:
            found.append(_url(value) if isinstance(value, str) and "://" in value else value)
        hide = telling is not None and not telling[2] and not hide
    return found
