from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.keys import FileKeys

KEY = KeyRecord("1" * 32, KeyKind.DATA, "t", "s", "public", 1, "m", b"wrapped-bytes")
_WRITER = """
import asyncio, sys
from pathlib import Path
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.keys import FileKeys
async def main():
    store = FileKeys(Path(sys.argv[1]))
    for n in range(20):
        key = KeyRecord(f"{sys.argv[2]}{n}", KeyKind.DATA, "t", None, "public", n, "m", b"x")
        await store.append([key])
        if n % 5 == 0:
            await store.append([KeyRecord(key.key_id, KeyKind.SHREDDED, "t", None, "public", n)])
asyncio.run(main())
"""


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


async def test_it_is_private_and_holds_no_shredded_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data.keys"
    store = FileKeys(path)
    await store.append([KEY])
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"d3JhcHBlZC1ieXRlcw==" in path.read_bytes()
    await store.append([replace(KEY, kind=KeyKind.SHREDDED, master=None, wrapped=None)])
    assert b"d3JhcHBlZC1ieXRlcw==" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert {entry.name for entry in path.parent.iterdir()} == {"data.keys", "data.keys.lock"}


async def test_half_a_line_of_a_process_that_died_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "data.keys"
    store, reader = FileKeys(path), FileKeys(path)
    await store.append([KEY])
    with path.open("ab") as file:
        file.write(b'{"key_id": "hal')
    assert list(await reader.news()) == [KEY]
    other = replace(KEY, key_id="2" * 32)
    await store.append([other])
    assert other in await reader.news()
    assert list(await FileKeys(path).news()) == [KEY, other]


async def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.keys"
    command = [sys.executable, "-c", _WRITER, str(path)]
    running = [_started([*command, name]) for name in "abc"]
    store, seen = FileKeys(path), dict[str, KeyRecord]()
    while any(process.poll() is None for process in running):
        seen.update({key.key_id: key for key in await store.news()})
    seen.update({key.key_id: key for key in await store.news()})
    assert [process.wait() for process in running] == [0, 0, 0]
    assert {key.key_id: key for key in await FileKeys(path).news()} == seen
    assert len(seen) == 60
    assert sum(key.kind is KeyKind.SHREDDED for key in seen.values()) == 12


@pytest.mark.parametrize(
    "damage", [b"no json\n", b'{"v": 2, "file": "x"}\n', b'{"v": 1, "file": "x"}\n{"key_id": 1}\n']
)
async def test_what_cannot_be_read_is_said(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "data.keys"
    path.write_bytes(damage)
    with pytest.raises(KeysUnavailable, match=r"data\.keys is damaged"):
        await FileKeys(path).news()
    with pytest.raises(KeysUnavailable):
        await FileKeys(path).append([KEY])
    assert path.read_bytes() == damage


async def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysUnavailable, match="cannot be used"):
        await FileKeys(tmp_path / "file" / "data.keys").append([KEY])


async def test_the_first_line_says_what_it_is(tmp_path: Path) -> None:
    await FileKeys(tmp_path / "k").append([KEY])
    assert json.loads((tmp_path / "k").read_text().splitlines()[0])["v"] == 1
