"""The calls of Confluent's schema registry, answered from a ``Catalog`` and a log. No HTTP here.

Avro without references. A change of documentation alone is no new version, as in ``aiosv3.schemas``.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote

from aiosv3.app.localstack.catalog import (
    LEVELS,
    MODES,
    Catalog,
    RegistryError,
    Version,
    setting_record,
)


@dataclass(frozen=True, slots=True)
class Request:
    """One call: the decoded parts of the path, the query, the JSON body."""

    parts: tuple[str, ...]
    query: dict[str, str]
    body: dict[str, Any]

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"

    def schema(self) -> str:
        """The schema in the body. RegistryError 42201 for what this registry does not take."""
        text = self.body.get("schema")
        if not isinstance(text, str) or self.body.get("schemaType", "AVRO") != "AVRO" or self.body.get("references"):
            message = "Invalid schema: the embedded registry takes Avro without references, as text in `schema`"
            raise RegistryError(422, 42201, message)
        return text


class Storage(Protocol):
    """What the registry asks of its log: ``SchemaLog`` is one."""

    def replay(self) -> Iterable[tuple[str, str | None]]: ...

    def append(self, key: str, value: str | None) -> None: ...


class SchemaRegistry:
    """The answers, without HTTP. Thread-safe: one request at a time. Raises ``RegistryError``.

    ``released`` are ids and schemas that are known without being on the log.
    """

    def __init__(self, storage: Storage, released: Iterable[tuple[int, str]] = ()) -> None:
        self._storage = storage
        self._released = list(released)
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None

    def handle(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        """The JSON value to answer with. ``path`` is still percent-encoded."""
        for route in _ROUTES:
            match = route.pattern.fullmatch(path) if route.method == method else None
            if match is not None:
                parts = tuple(unquote(part) for part in match.groups())
                with self._lock:
                    return route.answer(self, Request(parts, query, body))
        raise RegistryError(404, 404, "HTTP 404 Not Found")

    def load(self) -> None:
        """Rebuild the state from the log."""
        with self._lock:
            self._catalog = None
            _ = self.known

    @property
    def known(self) -> Catalog:
        """The state; rebuilt from the log at first use, and after an append whose outcome is unknown."""
        if self._catalog is None:
            catalog = Catalog(self._released)
            for key, value in self._storage.replay():
                catalog.apply(key, value)
            self._catalog = catalog
        return self._catalog

    def write(self, key: str, value: str | None) -> None:
        """Onto the log first, then into the state."""
        catalog = self.known
        self._catalog = None
        self._storage.append(key, value)
        catalog.apply(key, value)
        self._catalog = catalog


def _register(registry: SchemaRegistry, request: Request) -> Any:
    wanted = request.body.get("id")
    wanted_id = wanted if isinstance(wanted, int) and wanted > 0 else None
    draft = registry.known.draft(request.parts[0], request.schema(), wanted_id)
    if not registry.known.holds(draft):
        registry.write(*draft.record())
    return {"id": draft.id, "version": draft.version, "schema": draft.text}


def _lookup(registry: SchemaRegistry, request: Request) -> Any:
    return registry.known.find(request.parts[0], request.schema(), deleted=request.flag("deleted")).to_json()


def _subjects(registry: SchemaRegistry, request: Request) -> Any:
    return registry.known.subjects(deleted=request.flag("deleted"), prefix=request.query.get("subjectPrefix", ""))


def _versions(registry: SchemaRegistry, request: Request) -> Any:
    found = registry.known.versions(request.parts[0], deleted=request.flag("deleted"))
    return [one.version for one in found]


def _version(registry: SchemaRegistry, request: Request) -> Version:
    return registry.known.version(*request.parts, deleted=request.flag("deleted"))


def _uses(registry: SchemaRegistry, request: Request) -> Any:
    uses = registry.known.uses(_number(request.parts[0]))
    return [{"subject": one.subject, "version": one.version} for one in uses]


def _delete(registry: SchemaRegistry, request: Request) -> Any:
    permanent = request.flag("permanent")
    if len(request.parts) == 2:
        doomed = [registry.known.version(*request.parts, deleted=permanent)]
    else:
        doomed = registry.known.versions(request.parts[0], deleted=permanent)
    for key, value in list(registry.known.deletions(doomed, permanent=permanent)):
        registry.write(key, value)
    numbers = [one.version for one in doomed]
    return numbers[0] if len(request.parts) == 2 else numbers


def _get_level(registry: SchemaRegistry, request: Request) -> Any:
    if not request.parts:
        return {"compatibilityLevel": registry.known.level(None)}
    subject = request.parts[0]
    if registry.known.own_level(subject) is None and not request.flag("defaultToGlobal"):
        message = f"Subject '{subject}' does not have subject-level compatibility configured"
        raise RegistryError(404, 40408, message)
    return {"compatibilityLevel": registry.known.level(subject)}


def _put_level(registry: SchemaRegistry, request: Request) -> Any:
    level = request.body.get("compatibility")
    if level not in LEVELS:
        raise RegistryError(422, 42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
    registry.write(*setting_record("CONFIG", _subject(request), {"compatibilityLevel": level}))
    return {"compatibility": level}


def _delete_level(registry: SchemaRegistry, request: Request) -> Any:
    before = registry.known.level(_subject(request))
    registry.write(*setting_record("CONFIG", _subject(request), None))
    return {"compatibilityLevel": before}


def _put_mode(registry: SchemaRegistry, request: Request) -> Any:
    mode = request.body.get("mode")
    if mode not in MODES:
        raise RegistryError(422, 42204, f"Invalid mode. Valid values are {', '.join(MODES)}")
    registry.write(*setting_record("MODE", _subject(request), {"mode": mode}))
    return {"mode": mode}


def _compatible(registry: SchemaRegistry, request: Request) -> Any:
    subject, *version = request.parts
    level = registry.known.level(subject)
    if version:
        against, level = [registry.known.version(subject, version[0])], level.removesuffix("_TRANSITIVE")
    else:
        against = registry.known.versions(subject)
    reasons = registry.known.conflicts(request.schema(), against, level)
    return {"is_compatible": not reasons, **({"messages": reasons} if request.flag("verbose") else {})}


def _subject(request: Request) -> str | None:
    return request.parts[0] if request.parts else None


def _number(text: str) -> int:
    if not text.isdecimal():
        raise RegistryError(404, 40403, f"Schema {text} not found")
    return int(text)


class _Route(NamedTuple):
    method: str
    pattern: re.Pattern[str]
    answer: Callable[[SchemaRegistry, Request], Any]


def _route(method: str, path: str, answer: Callable[[SchemaRegistry, Request], Any]) -> _Route:
    return _Route(method, re.compile(path.replace("*", "([^/]+)") + "/?"), answer)


_ROUTES: Final = (
    _route("GET", "", lambda _registry, _request: {}),
    _route("GET", "/schemas/types", lambda _registry, _request: ["AVRO"]),
    _route("GET", "/schemas/ids/*", lambda reg, req: {"schema": reg.known.text(_number(req.parts[0]))}),
    _route("GET", "/schemas/ids/*/schema", lambda reg, req: json.loads(reg.known.text(_number(req.parts[0])))),
    _route("GET", "/schemas/ids/*/versions", _uses),
    _route("GET", "/subjects", _subjects),
    _route("POST", "/subjects/*", _lookup),
    _route("DELETE", "/subjects/*", _delete),
    _route("POST", "/subjects/*/versions", _register),
    _route("GET", "/subjects/*/versions", _versions),
    _route("GET", "/subjects/*/versions/*", lambda reg, req: _version(reg, req).to_json()),
    _route("GET", "/subjects/*/versions/*/schema", lambda reg, req: json.loads(_version(reg, req).text)),
    _route("DELETE", "/subjects/*/versions/*", _delete),
    _route("GET", "/config", _get_level),
    _route("GET", "/config/*", _get_level),
    _route("PUT", "/config", _put_level),
    _route("PUT", "/config/*", _put_level),
    _route("DELETE", "/config/*", _delete_level),
    _route("GET", "/mode", lambda reg, _request: {"mode": reg.known.mode(None)}),
    _route("GET", "/mode/*", lambda reg, req: {"mode": reg.known.mode(req.parts[0])}),
    _route("PUT", "/mode", _put_mode),
    _route("PUT", "/mode/*", _put_mode),
    _route("POST", "/compatibility/subjects/*/versions", _compatible),
    _route("POST", "/compatibility/subjects/*/versions/*", _compatible),
)
