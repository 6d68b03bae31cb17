"""A key store in one file, for a machine: a record a line, as JSON. Any number of processes share it.

It is private to its user (0600). Shredding writes it anew, so that no wrapped key stays behind in it; what a file
system or a backup keeps of old files is theirs.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.errors import KeysUnavailable

_VERSION: Final = 1


class FileKeys:
    """Implements :class:`~aiosv3.streams.keys.store.KeyStore`.

    ``path``: made, with its folder, when first written to. Its first line names the file anew each time it is written
    anew, so that a reader knows whether it may go on where it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = (b"", 0)
        """The first line of what was read, and how far."""

    async def append(self, records: Sequence[KeyRecord]) -> None:
        """See :class:`~aiosv3.streams.keys.store.KeyStore`."""
        if records:
            await asyncio.to_thread(self._guarded, self._append, records)

    async def news(self) -> Sequence[KeyRecord]:
        """See :class:`~aiosv3.streams.keys.store.KeyStore`."""
        found: Sequence[KeyRecord] = await asyncio.to_thread(self._guarded, self._news)
        return found

    def _guarded(self, work: Any, *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except OSError as error:
            raise KeysUnavailable(f"the key file {self.path} cannot be used: {error}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise KeysUnavailable(f"the key file {self.path} is damaged: {type(error).__name__}: {error}") from None

    def _append(self, records: Sequence[KeyRecord]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            whole = self.path.read_bytes() if self.path.exists() else b""
            kept = whole[: whole.rfind(b"\n") + 1]  # half a line was never acknowledged
            known = {key.key_id: key for key in _records(_split(kept)[1])}
            if whole and kept == whole and not any(record.key_id in known for record in records):
                _add(self.path, b"".join(map(_line, records)))
                return
            known.update({record.key_id: record for record in records})
            head = json.dumps({"v": _VERSION, "file": os.urandom(16).hex()}).encode() + b"\n"
            self._replace(head + b"".join(map(_line, known.values())))

    def _news(self) -> Sequence[KeyRecord]:
        try:
            with self.path.open("rb") as file:
                head = _split(file.readline())[0]
                position = self._read[1] if head == self._read[0] else len(head)
                file.seek(position)
                new = file.read()
        except FileNotFoundError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        found = list(_records(whole))
        self._read = head, position + len(whole)
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Beside the file, which is replaced. Blocks: other processes hold it for milliseconds."""
        handle = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _replace(self, content: bytes) -> None:
        draft = self.path.with_name(f".{self.path.name}.new")
        draft.unlink(missing_ok=True)
        _add(draft, content)
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _add(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _split(content: bytes) -> tuple[bytes, bytes]:
    """The first line, and the records. Raises ValueError for what a newer version wrote."""
    end = content.find(b"\n") + 1
    if content and json.loads(content[:end])["v"] != _VERSION:
        raise ValueError("a newer version of aiosv3 wrote it")
    return content[:end], content[end:]


def _line(record: KeyRecord) -> bytes:
    wrapped = None if record.wrapped is None else base64.b64encode(record.wrapped).decode()
    return json.dumps({**asdict(record), "kind": record.kind.value, "wrapped": wrapped}).encode() + b"\n"


def _records(lines: bytes) -> Iterator[KeyRecord]:
    for line in lines.splitlines():
        values = json.loads(line)
        wrapped = values.pop("wrapped")
        yield KeyRecord(
            **{**values, "kind": KeyKind(values["kind"])},
            wrapped=None if wrapped is None else base64.b64decode(wrapped, validate=True),
        )
