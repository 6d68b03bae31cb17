"""What a schema registry knows: subjects, versions, ids, compatibility levels. No network, no storage.

Changes come out as key and value of Confluent's ``_schemas`` topic and are applied from there, at start as in use, so
the topic is the only truth and can be handed to a Confluent registry as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.schemas.compat import problems
from aiosv3.schemas.fingerprints import fingerprint

DEFAULT_LEVEL: Final = "BACKWARD_TRANSITIVE"
_DIRECTIONS: Final = {"BACKWARD": (True, False), "FORWARD": (False, True), "FULL": (True, True)}
LEVELS: Final = ("NONE", *(name + end for name in _DIRECTIONS for end in ("", "_TRANSITIVE")))
MODES: Final = ("READWRITE", "READONLY", "IMPORT")
# Released and minted ids (aiosv3.schemas) lie above: counting past them would give them out a second time.
_COUNTED: Final = 1_000_000_000

# What fastavro raises for JSON that is no schema; RecursionError for JSON that is nested to do harm.
_INVALID: Final = (
    SchemaParseException,
    UnknownType,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)


class RegistryError(LocalStackError):
    """A refusal in Confluent's numbers: HTTP ``status`` and ``code``."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject. ``text`` is the schema as it was registered."""

    subject: str
    version: int
    id: int
    text: str
    deleted: bool = False

    def record(self) -> tuple[str, str]:
        """Key and value of this version on the log."""
        value = {**self.to_json(), "deleted": self.deleted}
        return schema_key(self.subject, self.version), json.dumps(value)

    def to_json(self) -> dict[str, Any]:
        return {"subject": self.subject, "version": self.version, "id": self.id, "schema": self.text}


def schema_key(subject: str, version: int) -> str:
    return json.dumps({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1})


def setting_record(kind: str, subject: str | None, value: dict[str, str] | None) -> tuple[str, str | None]:
    """Key and value of a level (``CONFIG``) or a mode (``MODE``); value None takes it back."""
    key = json.dumps({"keytype": kind, "subject": subject, "magic": 0})
    return key, None if value is None else json.dumps(value)


class Catalog:
    """The state after a run of records. Not thread-safe: the server holds a lock."""

    def __init__(self, released: Iterable[tuple[int, str]] = ()) -> None:
        self._versions: dict[str, dict[int, Version]] = {}
        self._texts: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._levels: dict[str | None, str] = {}
        self._modes: dict[str | None, str] = {}
        for schema_id, text in released:
            self._learn(schema_id, text)

    def apply(self, key: str, value: str | None) -> None:
        """Take in one record of the log. Kinds that only a bigger registry writes are passed over."""
        name, content = json.loads(key), None if value is None else json.loads(value)
        kind, subject = name.get("keytype"), name.get("subject")
        if kind == "SCHEMA":
            self._apply_schema(subject, name["version"], content)
        elif kind in {"CONFIG", "MODE"}:
            settings = self._levels if kind == "CONFIG" else self._modes
            settings.pop(subject, None)
            if content is not None:
                settings[subject] = content["compatibilityLevel" if kind == "CONFIG" else "mode"]

    def subjects(self, *, deleted: bool = False, prefix: str = "") -> list[str]:
        names = (name for name in self._versions if name.startswith(prefix))
        return sorted(name for name in names if self._live(name, deleted=deleted))

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Oldest first. RegistryError 40401 where there are none."""
        found = self._live(subject, deleted=deleted)
        if not found:
            raise RegistryError(404, 40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, version: str, *, deleted: bool = False) -> Version:
        """``version`` is a number, ``latest`` or ``-1``. RegistryError 40401, 40402, 42202."""
        found = self.versions(subject, deleted=deleted)
        if version in {"latest", "-1"}:
            return found[-1]
        if not version.isdecimal() or int(version) < 1:
            raise RegistryError(422, 42202, f"The specified version '{version}' is not a valid version id.")
        for one in found:
            if one.version == int(version):
                return one
        raise RegistryError(404, 40402, f"Version {version} not found.")

    def text(self, schema_id: int) -> str:
        """The schema with this id, also of a deleted version: records on the log keep their id."""
        if schema_id not in self._texts:
            raise RegistryError(404, 40403, f"Schema {schema_id} not found")
        return self._texts[schema_id]

    def uses(self, schema_id: int) -> list[Version]:
        self.text(schema_id)
        live = (one for name in self.subjects() for one in self._live(name))
        return [one for one in live if one.id == schema_id]

    def find(self, subject: str, text: str, *, deleted: bool = False) -> Version:
        """The version of ``subject`` with this very schema. RegistryError 40401, 40403, 42201."""
        wanted = canonical(text)
        for one in reversed(self.versions(subject, deleted=deleted)):
            if canonical(one.text) == wanted:
                return one
        raise RegistryError(404, 40403, "Schema not found")

    def draft(self, subject: str, text: str, wanted_id: int | None) -> Version:
        """The version that registering makes, or the one that is there already. Nothing is stored.

        RegistryError 42201 (not a schema), 42205 (read only, or the id is another schema's), 409 (incompatible).
        """
        wanted = canonical(text)
        if self.mode(subject) == "READONLY":
            raise RegistryError(422, 42205, f"Subject {subject} is in read-only mode")
        for one in self._live(subject):
            if canonical(one.text) == wanted and wanted_id in {None, one.id}:
                return one
        if wanted_id is not None and canonical(self._texts.get(wanted_id, text)) != wanted:
            message = f"Overwrite new schema with id {wanted_id} is not permitted."
            raise RegistryError(422, 42205, message)
        if self.mode(subject) != "IMPORT":
            reasons = self.conflicts(text, self._live(subject), self.level(subject))
            if reasons:
                message = f"Schema being registered is incompatible with an earlier schema of {subject}: "
                raise RegistryError(409, 409, message + "; ".join(reasons))
        number = max(self._versions.get(subject, {}), default=0) + 1
        return Version(subject, number, wanted_id or self._ids.get(wanted) or self._next_id(), text)

    def holds(self, version: Version) -> bool:
        return self._versions.get(version.subject, {}).get(version.version) == version

    def conflicts(self, text: str, earlier: list[Version], level: str) -> list[str]:
        """Why ``text`` may not follow ``earlier`` at this level; empty where it may."""
        new = parse(text)
        name, _, transitive = level.partition("_")
        backward, forward = _DIRECTIONS.get(name, (False, False))
        reasons: list[str] = []
        for one in earlier if transitive else earlier[-1:]:
            old = parse(one.text)
            found = [*problems(new, old)] if backward else []
            found += [*problems(old, new)] if forward else []
            reasons += [f"{problem.field}: {problem.rule} (version {one.version})" for problem in found]
        return reasons

    def level(self, subject: str | None) -> str:
        """The level that holds for ``subject``: its own, else the global one."""
        return self._levels.get(subject) or self._levels.get(None, DEFAULT_LEVEL)

    def own_level(self, subject: str) -> str | None:
        return self._levels.get(subject)

    def mode(self, subject: str | None) -> str:
        return self._modes.get(subject) or self._modes.get(None, "READWRITE")

    def deletions(self, doomed: list[Version], *, permanent: bool) -> Iterator[tuple[str, str | None]]:
        """The records that delete these versions. RegistryError 40405 where a soft deletion must come first."""
        for one in doomed:
            if not permanent:
                yield replace(one, deleted=True).record()
            elif one.deleted:
                yield schema_key(one.subject, one.version), None
            else:
                message = f"Subject '{one.subject}' was not deleted first before being permanently deleted"
                raise RegistryError(404, 40405, message)

    def _apply_schema(self, subject: str, version: int, content: dict[str, Any] | None) -> None:
        known = self._versions.setdefault(subject, {})
        if content is None:
            known.pop(version, None)
            return
        one = Version(subject, version, content["id"], content["schema"], content.get("deleted", False))
        known[version] = one
        self._learn(one.id, one.text)

    def _learn(self, schema_id: int, text: str) -> None:
        self._texts.setdefault(schema_id, text)
        self._ids.setdefault(canonical(text), schema_id)

    def _live(self, subject: str, *, deleted: bool = False) -> list[Version]:
        known = self._versions.get(subject, {})
        return [known[number] for number in sorted(known) if deleted or not known[number].deleted]

    def _next_id(self) -> int:
        return max((number for number in self._texts if number < _COUNTED), default=0) + 1


def parse(text: str) -> Any:
    """The schema as JSON. RegistryError 42201 where it is not valid Avro."""
    try:
        schema = json.loads(text)
        parse_schema(schema, named_schemas={})
    except _INVALID as error:
        raise RegistryError(422, 42201, f"Invalid schema: {error!r}") from error
    return schema


def canonical(text: str) -> str:
    """Equal for equal schemas (``aiosv3.schemas.fingerprints``: documentation and order of keys do not count)."""
    return fingerprint(parse(text))
