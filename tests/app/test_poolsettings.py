"""Settings of pools: what a kind knows by itself. What is refused, and in which words: test_settings.py."""

from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.poolsettings import PoolSettings
from aiosv3.schemas.headers import Clearance


@pytest.mark.parametrize(
    ("given", "able"),
    [
        ({"kind": "openai"}, ["json", "tools"]),
        ({"kind": "anthropic"}, ["json", "tools"]),
        ({"kind": "openai", "base_url": "http://127.0.0.1:8080/v1"}, ["json"]),
        ({"kind": "openai", "capabilities": ["json"]}, ["json"]),
        ({"kind": "vllm", "base_url": "http://127.0.0.1:8080/v1"}, ["json"]),
    ],
)
def test_providers_call_tools_and_servers_of_ones_own_have_to_say_so(given: dict[str, Any], able: list[str]) -> None:
    assert PoolSettings(model="m", **given).capabilities == able


def test_the_local_kind_knows_its_model_and_its_limits() -> None:
    pool = PoolSettings(kind="local", concurrency=1)
    assert (pool.model, pool.clearance, pool.concurrency) == ("SmolLM2-135M-Instruct", Clearance.RESTRICTED, 1)
    assert pool.context_window == 2_048
