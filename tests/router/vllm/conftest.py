from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parent / "fake_vllm.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_vllm", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_vllm"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake_vllm() -> ModuleType:
    """The module of the server that behaves like vLLM."""
    return _load()


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``vllm`` on the path that behaves like the real one; where it notes its starts and stops."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "vllm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    notes = tmp_path / "notes.jsonl"
    monkeypatch.setenv("FAKE_VLLM_LOG", str(notes))
    return notes
