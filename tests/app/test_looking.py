"""Searches from a shell: by meaning where that works here, else by words, and said so."""

from __future__ import annotations

import pytest

from aiosv3.app.looking import here, why_not
from aiosv3.app.settings import Settings
from aiosv3.memory.embedders.hashing import HashEmbedder
from aiosv3.memory.embedders.local import LocalEmbedder
from aiosv3.memory.embedders.remote import RemoteEmbedder


def settings(embedder: str, **more: object) -> Settings:
    return Settings.model_validate({"memory": {"embedder": embedder, **more}})


def test_an_embedder_is_used_where_it_needs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.memory.embedders.modelfiles.is_there", lambda: True)
    assert isinstance(here(settings("local")), LocalEmbedder)
    monkeypatch.setattr("aiosv3.memory.embedders.modelfiles.is_there", lambda: False)
    assert here(settings("local")) is None
    assert here(settings("none")) is None
    remote = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    assert isinstance(here(settings("remote", remote=remote)), RemoteEmbedder)


def test_it_is_said_why_there_is_no_vector() -> None:
    assert why_not(settings("none"), None) is None
    assert "not on this machine" in (why_not(settings("local"), None) or "")
    assert "does not answer" in (why_not(settings("local"), HashEmbedder()) or "")
