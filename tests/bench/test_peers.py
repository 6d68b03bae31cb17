"""Peers that are measured beside us: where they are kept, and what is said of one that cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from peers import PEERS, NotHere, Peer, cache


def peer(needs: str, *commands: str) -> Peer:
    return Peer("Peer", "1.0", needs, lambda _: [[sys.executable, "-c", code] for code in commands], PEERS[0].way)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_each_has_a_folder_of_its_own_by_version(kept: Path) -> None:
    assert cache() == kept / "aiosv3" / "bench"
    assert len({each.folder for each in PEERS}) == len(PEERS) == 3


def test_it_is_installed_once(capsys: pytest.CaptureFixture[str]) -> None:
    counted = peer("python3", "open('count', 'a').write('x')")
    assert counted.ready() == counted.ready()
    assert (counted.folder / "count").read_text(encoding="utf-8") == "x"
    assert capsys.readouterr().err.count("installing Peer 1.0") == 1


def test_what_was_installed_half_is_installed_again() -> None:
    broken = peer("python3", "open('half', 'w')", "raise SystemExit('no such package')")
    for _ in range(2):
        with pytest.raises(NotHere, match="could not be installed: no such package"):
            broken.ready()
    whole = peer("python3", "import os; assert not os.path.exists('half')")
    assert whole.ready() == broken.folder


def test_what_it_needs_is_named() -> None:
    with pytest.raises(NotHere, match="there is no 'no-such-program' on this machine"):
        peer("no-such-program").ready()
