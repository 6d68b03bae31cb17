"""Documents from where a person names them: files, folders, addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urldefrag, urlsplit

from aiosv3.app.settings import SettingsError
from aiosv3.memory.documents import SUFFIXES, DocumentUnreadable, suffix_of

_LARGEST: Final = 50_000_000
"""Bytes of one document."""
_PATIENCE_S: Final = 30.0


class Place(NamedTuple):
    """One document. ``source``: as it is cited; ``path`` None: an address."""

    source: str
    path: Path | None


class Fetched(NamedTuple):
    """What a document holds, and the suffix that stands for its format."""

    content: bytes
    suffix: str


def places(named: str, folder: Path) -> list[Place]:
    """The documents that are meant, in order: an address, a file, or all files of known formats below a folder.

    Hidden files and folders are left out. Raises :class:`SettingsError` where nothing is there.
    """
    if "://" in named:
        return [Place(_address(named), None)]
    path = Path(named)
    if path.is_file():
        return [Place(source_of(path, folder), path)]
    if not path.is_dir():
        raise SettingsError(f"there is no file and no folder {named}; an address begins with http:// or https://")
    found = sorted(
        one
        for one in path.rglob("*")
        if one.suffix.lower() in SUFFIXES and not _hidden(one.relative_to(path)) and one.is_file()
    )
    if not found:
        raise SettingsError(f"no file below {named} ends with one of {', '.join(SUFFIXES)}")
    return [Place(source_of(one, folder), one) for one in found]


def source_of(path: Path, folder: Path) -> str:
    """How a file is cited: relative to the project's folder, so that it is the same from everywhere; else in full."""
    whole, home = path.resolve(), folder.resolve()
    return (whole.relative_to(home) if whole.is_relative_to(home) else whole).as_posix()


def gone(sources: Sequence[str], named: str, folder: Path) -> list[str]:
    """Those of the sources that were files below the folder ``named`` and are no longer there."""
    if "://" in named or not Path(named).is_dir():
        return []
    below = source_of(Path(named), folder)
    prefix = "" if below == "." else f"{below}/"
    return [
        one
        for one in sources
        if "://" not in one
        and one.startswith(prefix)
        and (prefix or not one.startswith("/"))
        and not (folder / one).is_file()
    ]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _address(named: str) -> str:
    parts = urlsplit(named)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{named} is no address that begins with http:// or https://")
    if parts.username or parts.password:
        raise SettingsError("an address is kept as the source of what is read there: leave user and password out of it")
    return urldefrag(named).url


async def fetch(place: Place) -> Fetched:
    """Reads one document. Raises DocumentUnreadable."""
    if place.path is None:
        return await _requested(place.source)
    try:
        if place.path.stat().st_size > _LARGEST:
            raise DocumentUnreadable(_too_large())
        return Fetched(place.path.read_bytes(), place.path.suffix.lower())
    except OSError as error:
        raise DocumentUnreadable(f"it cannot be read: {error.strerror}") from None


async def _requested(address: str) -> Fetched:
    import httpx

    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(follow_redirects=True, timeout=_PATIENCE_S) as client,
            client.stream("GET", address, headers={"accept": "text/html,text/markdown,text/*,application/pdf"}) as got,
        ):
            got.raise_for_status()
            async for part in got.aiter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise DocumentUnreadable(_too_large())
            return Fetched(bytes(content), suffix_of(got.headers.get("content-type", ""), got.url.path))
    except httpx.HTTPStatusError as error:
        raise DocumentUnreadable(f"the server says {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise DocumentUnreadable(f"{type(error).__name__}: {error}") from None


def _too_large() -> str:
    return f"it has more than {_LARGEST // 1_000_000} MB"
