"""The claim store: what is too large for the log, or stands on it too often, under the hash of its own bytes.

A *claim* is ``sha256:<64 hex digits>``. Nothing is ever changed under a claim, so writing it twice is one write, and
whoever reads it can tell whether it is what was meant.

The store holds content as plain as the log does. Sealing belongs between a caller and its store: the claim is then
that of the sealed bytes, and the key's id travels beside the claim. Local folders are private to their user (0700).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from aiosv3.streams.errors import ClaimCorrupt, ClaimMissing, ClaimsUnavailable

_CLAIM: Final = re.compile(r"sha256:([0-9a-f]{64})")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]+://")


class ClaimStore(Protocol):
    """Content by its own hash. Neither method blocks the event loop."""

    async def put(self, content: bytes) -> str:
        """Stores ``content`` durably and returns its claim. Raises :class:`ClaimsUnavailable`."""
        ...

    async def get(self, claim: str) -> bytes:
        """The content of ``claim``, checked against it.

        Raises :class:`ClaimMissing`, :class:`ClaimCorrupt`, :class:`ClaimsUnavailable`.
        """
        ...


def claim_of(content: bytes) -> str:
    """The claim of ``content``, stored or not."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of(claim: str) -> str:
    """The hex digits of a claim: safe as a file's name. Raises :class:`ClaimMissing` for what is no claim."""
    match = _CLAIM.fullmatch(claim)
    if match is None:
        raise ClaimMissing(f"{claim[:80]!r} is no claim: write sha256: and 64 hex digits")
    return match[1]


def checked(claim: str, content: bytes) -> bytes:
    """``content`` if it is that of ``claim``. Raises :class:`ClaimCorrupt`."""
    if claim_of(content) != claim:
        raise ClaimCorrupt(f"what is stored as {claim} is something else ({len(content)} bytes)")
    return content


class FileClaims:
    """Claims as files in a private folder, ``<first two digits>/<digits>``; made when first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(self, content: bytes) -> str:
        """See :class:`ClaimStore`. A file that was damaged is written again."""
        claim = claim_of(content)
        await asyncio.to_thread(self._write, self._path(claim), content)
        return claim

    async def get(self, claim: str) -> bytes:
        """See :class:`ClaimStore`."""
        return checked(claim, await asyncio.to_thread(self._read, claim, self._path(claim)))

    def _path(self, claim: str) -> Path:
        digest = digest_of(claim)
        return self.folder / digest[:2] / digest

    def _write(self, path: Path, content: bytes) -> None:
        """Whole or not at all; on disk when this returns, whoever wrote it (``fsync`` of file and folders)."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                _replace(path, content)
            for folder in (path.parent, self.folder):
                _sync_folder(folder)
        except OSError as error:
            raise ClaimsUnavailable(f"{self.folder} cannot be written: {error}") from error

    def _read(self, claim: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise ClaimMissing(f"{claim} is not in {self.folder}") from None
        except OSError as error:
            raise ClaimsUnavailable(f"{self.folder} cannot be read: {error}") from error


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RemoteClaims:
    """Claims as objects of any file system that fsspec knows: S3, GCS, Azure, SFTP. Needs ``aiosv3[claims]``.

    Objects are written whole, at once, as object stores do; where a file system does not, a torn one fails its check.
    Who may read the bucket is set there. Raises :class:`ClaimsUnavailable` when fsspec or its driver is not there.
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ClaimsUnavailable(f"{_place(url)} needs fsspec: install aiosv3[claims]") from None
        try:
            files, root = url_to_fs(url)
        except (ImportError, OSError, ValueError) as error:
            raise ClaimsUnavailable(f"{_place(url)} cannot be used: {error}") from error
        self._files: Any = files
        self._root = str(root)
        self._name = _place(url)

    async def put(self, content: bytes) -> str:
        """See :class:`ClaimStore`. Written again if it is there: on object stores that costs what asking would."""
        claim = claim_of(content)
        try:
            await asyncio.to_thread(self._write, self._path(claim), content)
        except OSError as error:
            raise ClaimsUnavailable(f"{self._name} cannot be written: {error}") from error
        return claim

    async def get(self, claim: str) -> bytes:
        """See :class:`ClaimStore`."""
        try:
            content: bytes = await asyncio.to_thread(self._files.cat_file, self._path(claim))
        except FileNotFoundError:
            raise ClaimMissing(f"{claim} is not in {self._name}") from None
        except OSError as error:
            raise ClaimsUnavailable(f"{self._name} cannot be read: {error}") from error
        return checked(claim, content)

    def _path(self, claim: str) -> str:
        digest = digest_of(claim)
        return f"{self._root.rstrip('/')}/{digest[:2]}/{digest}"

    def _write(self, path: str, content: bytes) -> None:
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, content)


def _place(url: str) -> str:
    """The url without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def open_claims(url: str) -> ClaimStore:
    """A folder (a path, or ``file://…``) or any url that fsspec knows (``s3://bucket/claims``).

    Raises :class:`ClaimsUnavailable` when the url needs what is not installed.
    """
    if not _SCHEME.match(url):
        return FileClaims(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileClaims(Path(unquote(parts.path)))
    return RemoteClaims(url)
