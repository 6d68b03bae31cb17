"""What a schema registry knows: subjects, versions, ids, compatibility levels. No network, no storage.

Changes come out as entries of a topic and are applied from there, at start as in use: the topic is the only truth, also
for registries that share it. Of two entries that give one version or one id to two schemas, the first counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fastavro.schema import SchemaParseException, parse_schema

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.schemas.compat import problems
from aiosv3.schemas.fingerprints import fingerprint

LEVELS: Final = ("NONE", *(name + end for name in ("BACKWARD", "FORWARD", "FULL") for end in ("", "_TRANSITIVE")))
# Released and minted ids (aiosv3.schemas) lie above: counting past them would give them out a second time.
_COUNTED: Final = range(1_000_000_000)
# What reading raises for JSON that is no schema; RecursionError for JSON that is nested to do harm.
_INVALID: Final = (SchemaParseException, ValueError, LookupError, TypeError, AttributeError, RecursionError)
# Key and value of a record of the topic.
Entry: TypeAlias = tuple[str, str]


class RegistryError(LocalStackError):
    """A refusal by Confluent's number; its first three digits are the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@lru_cache(maxsize=1000)
def mark(text: str) -> str:
    """Equal for equal schemas: documentation and the order of keys do not count. RegistryError 42201 for no Avro."""
    try:
        schema = json.loads(text)
        parse_schema(schema, named_schemas={})
        list(problems(schema, schema))  # finds what fastavro lets pass and a comparison would not: absent fields
        return fingerprint(schema)
    except _INVALID as error:
        raise RegistryError(42201, f"Invalid schema: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject. ``schema`` is the text as it was registered."""

    subject: str
    version: int
    id: int
    schema: str
    deleted: bool = False

    def entry(self) -> Entry:
        value = {"keytype": "SCHEMA", **asdict(self)}
        # All that may differ is in the key: compaction keeps the last entry of a key, and here the first one counts.
        return json.dumps({**value, "schema": mark(self.schema)}), json.dumps(value)


class Catalog:
    """The state after a run of entries. One thread applies at a time, any may ask.

    Changes come as the entries to append; none where all is so already. Everything raises ``RegistryError``.
    """

    def __init__(self, released: Iterable[tuple[int, str]] = ()) -> None:
        self._subjects: dict[str, dict[int, Version]] = {}
        self._levels: dict[str | None, str] = {None: "BACKWARD_TRANSITIVE"}
        self._schemas = dict(released)
        self._ids = {mark(text): schema_id for schema_id, text in self._schemas.items()}

    def apply(self, key: str | bytes, value: str | bytes | None) -> None:
        """Take in one entry. What only another registry writes is passed over."""
        with suppress(RegistryError, *_INVALID):
            name, content = json.loads(key), json.loads(value or "null")
            if name["keytype"] == "CONFIG":
                self._levels[name["subject"]] = content["compatibilityLevel"]
            elif name["keytype"] == "SCHEMA":
                new = Version(**{field: content[field] for field in Version.__slots__})
                known = self._subjects.get(new.subject, {})
                first = known.get(new.version, new)
                if first.id == new.id and mark(self._schemas.setdefault(new.id, new.schema)) == mark(new.schema):
                    self._ids.setdefault(mark(new.schema), new.id)
                    first = replace(first, deleted=first.deleted or new.deleted)
                    # New mappings: other threads go through the old ones meanwhile.
                    self._subjects = {**self._subjects, new.subject: {**known, new.version: first}}

    def subjects(self) -> list[str]:
        return [subject for subject in sorted(self._subjects) if self._all(subject)]

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Oldest first."""
        found = self._all(subject, deleted=deleted)
        if not found:
            raise RegistryError(40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, number: str) -> Version:
        """``number`` is one in digits, ``latest`` or ``-1``."""
        found = self.versions(subject)
        for one in found[-1:] if number in {"latest", "-1"} else found:
            if number in {"latest", "-1", str(one.version)}:
                return one
        raise RegistryError(40402 if number.isdecimal() else 42202, f"Version {number} of '{subject}' not found.")

    def find(self, subject: str, text: str) -> Version:
        """The version with this very schema."""
        for one in self.versions(subject):
            if mark(one.schema) == mark(text):
                return one
        raise RegistryError(40403, f"Schema not found under '{subject}'")

    def schema(self, schema_id: str) -> str:
        """Also of a deleted version: records on other topics keep its id."""
        try:
            return self._schemas[int(schema_id)]
        except (ValueError, KeyError):
            raise RegistryError(40403, f"Schema {schema_id} not found") from None

    def conflicts(self, subject: str, text: str, earlier: list[Version]) -> list[str]:
        """Why a schema may not follow ``earlier`` at the level of ``subject``; empty where it may."""
        mark(text)
        name, _, transitive = self._levels.get(subject, self._levels[None]).partition("_")
        reasons: list[str] = []
        for one in earlier if transitive else earlier[-1:]:
            new, old = json.loads(text), json.loads(one.schema)
            ways = {"BACKWARD": [(new, old)], "FORWARD": [(old, new)], "FULL": [(new, old), (old, new)]}.get(name, [])
            found = [problem for reader, writer in ways for problem in problems(reader, writer)]
            reasons += [f"{problem.field}: {problem.rule} (version {one.version})" for problem in found]
        return reasons

    def level(self, subject: str | None = None) -> str:
        """What is set for ``subject``; None: for all that have nothing of their own."""
        if subject not in self._levels:
            raise RegistryError(40408, f"Subject '{subject}' does not have subject-level compatibility configured")
        return self._levels[subject]

    def register(self, subject: str, text: str, wanted_id: Any = None) -> list[Entry]:
        wanted, earlier = mark(text), self._all(subject)
        if any(mark(one.schema) == wanted for one in earlier):
            return []
        next_id = max((known for known in list(self._schemas) if known in _COUNTED), default=0) + 1
        schema_id = wanted_id if isinstance(wanted_id, int) and wanted_id > 0 else self._ids.get(wanted, next_id)
        if mark(self._schemas.get(schema_id, text)) != wanted:
            raise RegistryError(42205, f"Overwrite new schema with id {schema_id} is not permitted.")
        reasons = self.conflicts(subject, text, earlier)
        if reasons:
            raise RegistryError(409, f"incompatible with an earlier schema of '{subject}': {'; '.join(reasons)}")
        return [Version(subject, max(self._subjects.get(subject, {}), default=0) + 1, schema_id, text).entry()]

    def delete(self, doomed: list[Version]) -> list[Entry]:
        return [replace(one, deleted=True).entry() for one in doomed if one in self._all(one.subject)]

    def set_level(self, level: Any, subject: str | None = None) -> list[Entry]:
        if level not in LEVELS:
            raise RegistryError(42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        entry = json.dumps({"keytype": "CONFIG", "subject": subject}), json.dumps({"compatibilityLevel": level})
        return [] if self._levels.get(subject) == level else [entry]

    def _all(self, subject: str, *, deleted: bool = False) -> list[Version]:
        versions = sorted(self._subjects.get(subject, {}).items())
        return [one for _, one in versions if deleted or not one.deleted]
