"""What can go wrong between an index and a file; whole fetches: the tests of those who need one."""

from __future__ import annotations

import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from aiosv3.streams.wheels import WheelUnavailable, alone, extract, hash_of, pip_download


def test_pip_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WheelUnavailable, match="no-such-model-of-aiosv3"):
        pip_download("no-such-model-of-aiosv3==1", tmp_path)


def test_a_pip_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WheelUnavailable, match="pip could not fetch small==1"):
        pip_download("small==1", tmp_path)


def test_only_the_one_wheel_with_all_members_is_taken(tmp_path: Path) -> None:
    wanted = {"small/a.bin": tmp_path / "a.bin"}
    with pytest.raises(WheelUnavailable, match="gave 0 wheels"):
        extract(tmp_path, "small==1", wanted)
    (tmp_path / "small.whl").write_bytes(b"no zip")
    with pytest.raises(WheelUnavailable, match=r"small\.whl does not hold what it should"):
        extract(tmp_path, "small==1", wanted)
    with zipfile.ZipFile(tmp_path / "small.whl", "w") as wheel:
        wheel.writestr("small/a.bin", b"abc")
    with pytest.raises(WheelUnavailable, match="does not hold"):
        extract(tmp_path, "small==1", {**wanted, "small/b.bin": tmp_path / "b.bin"})
    with pytest.raises(WheelUnavailable, match="could not be written"):
        extract(tmp_path, "small==1", {"small/a.bin": tmp_path / "nowhere" / "a.bin"})
    extract(tmp_path, "small==1", wanted)
    assert hash_of(tmp_path / "a.bin") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_one_at_a_time(tmp_path: Path) -> None:
    inside = Event()

    def enter() -> bool:
        with alone(tmp_path / "lock"):
            return inside.is_set()

    with ThreadPoolExecutor(1) as pool:
        with alone(tmp_path / "lock"):
            waiting = pool.submit(enter)
            inside.set()
        assert waiting.result(30)
