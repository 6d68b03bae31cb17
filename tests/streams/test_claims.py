"""The claim store: one contract on every implementation, and what is particular to files and urls."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiosv3.streams.claims import ClaimStore, FileClaims, RemoteClaims, claim_of, open_claims
from aiosv3.streams.errors import ClaimCorrupt, ClaimMissing, ClaimsUnavailable
from aiosv3.streams.testing import MemoryClaims

CONTENT = b"what was said"
CLAIM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
Make = Callable[[], ClaimStore]


@pytest.fixture(params=["memory", "files", "fsspec"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the same store again each time: as another process does."""
    if request.param == "memory":
        store = MemoryClaims()
        return lambda: store
    if request.param == "files":
        return lambda: open_claims(str(tmp_path / "claims"))
    return lambda: open_claims(f"memory://{tmp_path.name}/claims")


async def damage(store: ClaimStore, claim: str, content: bytes) -> None:
    """What a broken disk or a hand that does not belong there does."""
    if isinstance(store, MemoryClaims):
        store.stored[claim] = content
    elif isinstance(store, FileClaims):
        store._path(claim).write_bytes(content)
    elif isinstance(store, RemoteClaims):
        store._files.pipe_file(store._path(claim), content)
    else:
        raise TypeError(store)


# -- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [CONTENT, b"", b"\0\xff" * 70_000])
async def test_what_was_put_is_found_by_whoever_opens_the_store(make: Make, content: bytes) -> None:
    claim = await make().put(content)
    assert claim == claim_of(content) == "sha256:" + hashlib.sha256(content).hexdigest()
    assert await make().get(claim) == content


async def test_the_same_bytes_are_one_claim(make: Make) -> None:
    first, second = await asyncio.gather(make().put(CONTENT), make().put(CONTENT))
    assert first == second == CLAIM
    assert await make().get(CLAIM) == CONTENT


@pytest.mark.parametrize(
    "claim", [CLAIM, "", "sha256:", "../../etc/passwd", f"sha256:../{'0' * 61}", CLAIM.upper(), CLAIM + "\n"]
)
async def test_what_is_not_there_is_missing(make: Make, claim: str) -> None:
    with pytest.raises(ClaimMissing):
        await make().get(claim)


@pytest.mark.parametrize("other", [b"what was said!", b"WHAT was said", b""])
async def test_damage_is_noticed_and_writing_again_heals_it(make: Make, other: bytes) -> None:
    store = make()
    await store.put(CONTENT)
    await damage(store, CLAIM, other)
    with pytest.raises(ClaimCorrupt):
        await make().get(CLAIM)
    await store.put(CONTENT)
    assert await make().get(CLAIM) == CONTENT


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> FileClaims:
    return FileClaims(tmp_path / "deep" / "claims")


async def test_only_the_user_can_look_into_the_folder(files: FileClaims) -> None:
    await files.put(CONTENT)
    path = files._path(CLAIM)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (files.folder, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


async def test_a_write_that_dies_leaves_nothing_under_the_claim(
    files: FileClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ClaimsUnavailable, match="No space left"):
        await files.put(CONTENT)
    monkeypatch.undo()
    assert list(files._path(CLAIM).parent.iterdir()) == [], "neither half a file nor what it was written to"
    with pytest.raises(ClaimMissing):
        await files.get(CLAIM)


async def test_content_is_on_disk_before_it_has_its_name(files: FileClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    path = files._path(CLAIM)
    real = os.fsync

    def watched(handle: int) -> None:
        seen.append(path.exists())
        real(handle)

    monkeypatch.setattr(os, "fsync", watched)
    await files.put(CONTENT)
    assert seen == [False, True, True], "the file, then the two folders that name it"
    await files.put(CONTENT)
    assert seen[3:] == [True, True], "whoever finds it there cannot know that its writer lived to do that"


async def test_the_loop_is_not_held(files: FileClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[threading.Thread] = []
    real_write, real_read = files._write, files._read

    def write(*args: Any) -> None:
        where.append(threading.current_thread())
        real_write(*args)

    def read(*args: Any) -> bytes:
        where.append(threading.current_thread())
        return real_read(*args)

    monkeypatch.setattr(files, "_write", write)
    monkeypatch.setattr(files, "_read", read)
    await files.get(await files.put(CONTENT))
    assert len(where) == 2
    assert threading.main_thread() not in where


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    blocked = FileClaims(tmp_path / "file" / "claims")
    with pytest.raises(ClaimsUnavailable, match="cannot be written"):
        await blocked.put(CONTENT)
    with pytest.raises(ClaimsUnavailable, match="cannot be read"):
        await blocked.get(CLAIM)


# -- urls -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["{}/claims", "file://{}/claims"])
async def test_a_path_and_a_file_url_are_one_folder(url: str, tmp_path: Path) -> None:
    store = open_claims(url.format(tmp_path))
    assert isinstance(store, FileClaims)
    assert store.folder == tmp_path / "claims"


def test_a_url_without_fsspec_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ClaimsUnavailable, match=r"aiosv3\[claims\]"):
        open_claims("s3://bucket/claims")


def test_a_url_that_cannot_be_opened_is_said_without_its_secrets() -> None:
    with pytest.raises(ClaimsUnavailable) as caught:
        open_claims("nowhere://ada:hunter2@host/claims?token=hunter2")
    assert "nowhere://host/claims" in str(caught.value)
    assert "hunter2" not in str(caught.value)
