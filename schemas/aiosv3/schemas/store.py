"""Schemas by id: the released ones, the project's own lock file, and a registry if there is one.

Reading a record must never wait for the network, so lookups are synchronous and answer from memory; whoever
meets :class:`UnresolvedSchema` awaits :meth:`SchemaStore.resolve` and tries again.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from aiosv3.schemas.compat import check_compatible
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, UnknownSchema
from aiosv3.schemas.fingerprints import LAST_MINTED, Schema, fingerprint, minted_id
from aiosv3.schemas.released import load_lock


class UnresolvedSchema(AiosError):
    """The schema with id ``schema_id`` is not in memory.

    ``await store.resolve(schema_id)``, then decode again.
    """

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not in memory yet: resolve it, then decode again")
        self.schema_id = schema_id


class UnregisteredSubject(AiosError):
    """A value was to be written before its subject was registered.

    Await :meth:`SchemaStore.register` at start.
    """


@contextmanager
def _alone(path: Path | None) -> Iterator[None]:
    """One writer of a lock file at a time, across processes: workers of one project start together."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


class Registry(Protocol):
    """What the store asks of a registry: :class:`aiosv3.schemas.registry.RegistryClient` is one."""

    async def register(self, subject: str, schema: Schema) -> int:
        """The id of ``schema`` under ``subject``, new or not. IncompatibleSchema, RegistryUnavailable."""
        ...

    async def schema(self, schema_id: int) -> Schema:
        """The schema with this id.

        UnknownSchema when there is none, RegistryUnavailable without an answer.
        """
        ...


class SchemaStore:
    """``lock`` is the project's own lock file; None keeps what is registered in memory only."""

    def __init__(self, lock: Path | None = None, registry: Registry | None = None) -> None:
        self._path = lock
        self._registry = registry
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[str, int] = {}
        self._marks: dict[int, str] = {}
        self._seen: tuple[int, int, int] | None = None
        self._released: dict[str, int] = {}
        self._writing: dict[str, int] = {}
        self._subjects: dict[str, list[int]] = {}
        self._asking = asyncio.Lock()
        for release in load_lock():
            self._remember(release.id, release.schema)
            self._released[release.name] = release.id
        self._read_lock()

    def schema(self, schema_id: int) -> Schema:
        """The schema with this id, from memory; raises :class:`UnresolvedSchema`."""
        try:
            return self._schemas[schema_id]
        except KeyError:
            raise UnresolvedSchema(schema_id) from None

    def released_id(self, name: str) -> int:
        """The id under which the newest release of ``name`` (as ``aiosv3.Decision``) is written."""
        return self._writing.get(name, self._released[name])

    def released_schema(self, name: str) -> Schema:
        """The newest release of ``name``: what this release of the package writes and reads."""
        return self._schemas[self._released[name]]

    def subject_id(self, subject: str) -> int:
        """The id under which values of ``subject`` are written: that of its newest version."""
        try:
            return self._subjects[subject][-1]
        except KeyError:
            raise UnregisteredSubject(f"{subject} has no schema yet: await store.register() at start") from None

    async def resolve(self, schema_id: int) -> None:
        """Brings the schema into memory: from the lock file, then from the registry.

        Raises :class:`UnknownSchema` when nobody has it, :class:`RegistryUnavailable` without an answer.
        """
        async with self._asking:
            if schema_id in self._schemas:
                return
            self._read_lock()
            if schema_id not in self._schemas:
                self._remember(schema_id, await self._ask(schema_id))

    async def register(self, subject: str, schema: Schema) -> int:
        """Makes ``schema`` the newest version of ``subject`` and returns its id.

        The id comes from the registry; without one from the lock, or it is minted from the schema's own hash.
        A registry that does not answer is no obstacle if the lock has the id that it gave earlier. Raises
        :class:`IncompatibleSchema` when a known version could no longer be read,
        :class:`RegistryUnavailable`.
        """
        self._read_lock()
        versions = self._subjects.get(subject, [])
        check_compatible(subject, schema, [self._schemas[version] for version in versions])
        mark = fingerprint(schema)
        known = next((version for version in versions if self._marks[version] == mark), None)
        schema_id = await self._number(subject, schema, known)
        self._remember(schema_id, schema)
        self._ids[mark] = schema_id
        for name, released in self._released.items():
            if self._marks[released] == mark:
                self._writing[name] = schema_id
        if self._subjects.get(subject, [])[-1:] != [schema_id]:
            with _alone(self._path):
                self._read_lock()  # another process may have written since
                versions = self._subjects.get(subject, [])
                self._subjects[subject] = [*(version for version in versions if version != schema_id), schema_id]
                self._write_lock()
        return schema_id

    async def _number(self, subject: str, schema: Schema, known: int | None) -> int:
        if self._registry is None:
            return self._mint(schema) if known is None else known
        try:
            return await self._registry.register(subject, schema)
        except RegistryUnavailable:
            if known is None:
                raise
            return known  # the log already holds values under it

    def _mint(self, schema: Schema) -> int:
        mark = fingerprint(schema)
        if mark in self._ids:
            return self._ids[mark]
        schema_id = minted_id(schema)
        while schema_id in self._schemas and schema_id < LAST_MINTED:
            schema_id += 1
        return schema_id

    async def _ask(self, schema_id: int) -> Schema:
        if self._registry is None:
            raise UnknownSchema(
                f"schema {schema_id} is in no lock file and no registry is configured: copy the lock "
                "file of the project that wrote the record, or configure its registry"
            )
        return await self._registry.schema(schema_id)

    def _remember(self, schema_id: int, schema: Schema) -> None:
        if self._schemas.get(schema_id) != schema:
            self._schemas[schema_id] = schema
            self._marks[schema_id] = fingerprint(schema)
        self._ids.setdefault(self._marks[schema_id], schema_id)

    def _read_lock(self) -> None:
        """Takes in what this or another process of the project has registered since."""
        if self._path is None or not self._path.exists():
            return
        found = self._path.stat()
        if (seen := (found.st_ino, found.st_mtime_ns, found.st_size)) == self._seen:
            return
        self._seen = seen
        for subject, versions in json.loads(self._path.read_text(encoding="utf-8"))["subjects"].items():
            for version in versions:
                self._remember(version["id"], version["schema"])
            self._subjects[subject] = [version["id"] for version in versions]

    def _write_lock(self) -> None:
        if self._path is None:
            return
        subjects: dict[str, list[dict[str, Any]]] = {
            subject: [{"id": version, "schema": self._schemas[version]} for version in versions]
            for subject, versions in sorted(self._subjects.items())
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        new.write_text(json.dumps({"v": 1, "subjects": subjects}, indent=1) + "\n", encoding="utf-8")
        new.replace(self._path)
