"""The files tool: one folder, and nothing outside it, whatever the path says and whoever changes it meanwhile.

Each part of a path is opened in the folder before it, and links are not followed: there is no moment between a check
and its use.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiosv3.tools.errors import AnswerTooLarge, ToolRefused
from aiosv3.tools.server import ToolCall, ToolSpec

_PATH: Final = {"type": "string", "description": "Relative to the folder, parts with '/' between them."}
_ENTRIES: Final = 1_000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRY_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["file", "folder", "other"]},
        "bytes": {"type": "integer"},
    },
    "required": ["name", "kind", "bytes"],
}


class FileTools:
    """Implements :class:`~aiosv3.tools.server.ToolServer`. ``limit``: bytes of a file. ``write``: it may be changed."""

    def __init__(self, root: Path, *, write: bool = False, limit: int = 16 * 1024 * 1024) -> None:
        self._root = root
        self._limit = limit
        self._work: dict[str, Callable[[dict[str, Any]], Any]] = {"list": self._list, "read": self._read}
        if write:
            self._work["write"] = self._write

    async def tools(self) -> Sequence[ToolSpec]:
        return [spec for spec in _SPECS if spec.name in self._work]

    async def call(self, call: ToolCall) -> Any:
        try:
            return await asyncio.to_thread(self._work[call.tool], call.arguments)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise ToolRefused(f"{str(call.arguments.get('path'))[:200]!r}: {words}") from None

    async def aclose(self) -> None:
        """Nothing is open between calls."""

    def _list(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        with self._folder(_parts(arguments.get("path", "."))) as folder, os.scandir(folder) as entries:
            found = sorted((entry.name, *_kind(entry)) for entry in entries)
        if len(found) > _ENTRIES:
            raise AnswerTooLarge(f"there are {len(found)} entries, more than {_ENTRIES}")
        return [{"name": name, "kind": kind, "bytes": size} for name, kind, size in found]

    def _read(self, arguments: dict[str, Any]) -> str:
        *above, name = _named(arguments["path"])
        with self._folder(above) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ToolRefused(f"{name[:200]!r} is no ordinary file")
                raw = file.read(self._limit + 1)
        if len(raw) > self._limit:
            raise AnswerTooLarge(f"{name[:200]!r} is over {self._limit} bytes")
        return raw.decode()

    def _write(self, arguments: dict[str, Any]) -> dict[str, int]:
        """Whole or not at all; folders on the way are made."""
        raw = str(arguments["text"]).encode()
        if len(raw) > self._limit:
            raise AnswerTooLarge(f"the text is over {self._limit} bytes")
        *above, name = _named(arguments["path"])
        with self._folder(above, make=True) as folder:
            draft = f".{secrets.token_hex(8)}.draft"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(draft, flags, 0o600, dir_fd=folder), "wb") as file:
                    file.write(raw)
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise
        return {"bytes": len(raw)}

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """The folder at the end of ``parts``, opened step by step from the root."""
        current = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=current)
                below = os.open(part, _FOLDER, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


def _parts(path: Any) -> list[str]:
    parts = [part for part in str(path).split("/") if part not in {"", "."}]
    if str(path).startswith("/") or ".." in parts or "\0" in str(path):
        raise ToolRefused(f"{str(path)[:200]!r} leads out of the folder: write a path below it")
    return parts


def _named(path: Any) -> list[str]:
    parts = _parts(path)
    if not parts:
        raise ToolRefused("the path names no file")
    return parts


def _kind(entry: os.DirEntry[str]) -> tuple[str, int]:
    if entry.is_file(follow_symlinks=False):
        return "file", entry.stat(follow_symlinks=False).st_size
    return ("folder" if entry.is_dir(follow_symlinks=False) else "other"), 0


def _input(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_SPECS: Final = (
    ToolSpec(
        "list",
        "What is in a folder.",
        _input([], path=_PATH),
        {"type": "array", "items": _ENTRY_SCHEMA},
        read_only=True,
    ),
    ToolSpec("read", "The text of a file.", _input(["path"], path=_PATH), {"type": "string"}, read_only=True),
    ToolSpec(
        "write",
        "Writes a text file, in the place of what was there.",
        _input(["path", "text"], path=_PATH, text={"type": "string"}),
        {"type": "object", "properties": {"bytes": {"type": "integer"}}, "required": ["bytes"]},
        idempotent=True,
    ),
)
