"""The view that the settings name: what is opened, and what is said where that cannot be."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.app.memories import open_live_view
from aiosv3.app.memorysettings import MemorySettings
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.memory.views import Entry, PartialHits, Put, Query
from aiosv3.memory.views.embedded import EmbeddedView


def on_weaviate(**given: Any) -> Settings:
    url = f"http://{LOOPBACK}:{free_port()}"
    told = {"view": "weaviate", "weaviate": {"url": url, "timeout": 0.2, "tail": 2} | given}
    return Settings(memory=MemorySettings.model_validate(told))


async def test_memories_are_in_the_worker_unless_said_otherwise() -> None:
    view = await open_live_view(Settings())
    assert isinstance(view, EmbeddedView)
    await view.close()


async def test_a_worker_starts_and_answers_without_its_weaviate() -> None:
    """It has as many of the newest memories as the settings say."""
    view = await open_live_view(on_weaviate())
    query = Query("acme", ["tenant"], "tea")
    assert await view.search(query) == []
    await view.apply([Put(Entry(f"m{number}", 1, "acme", "tenant", "fact", "tea", 0, 0, "")) for number in range(3)])
    hits = await view.search(query)
    assert isinstance(hits, PartialHits)
    assert [hit.entry.id for hit in hits] == ["m1", "m2"]
    await view.close()


async def test_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"memory\.weaviate: the environment has no NO_SUCH_KEY"):
        await open_live_view(on_weaviate(api_key_env="NO_SUCH_KEY"))
    monkeypatch.setitem(sys.modules, "aiosv3.memory.views.weaviate", None)
    with pytest.raises(SettingsError, match=r'pip install "aiosv3\[weaviate\]"'):
        await open_live_view(on_weaviate())
