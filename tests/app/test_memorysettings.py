"""Settings of memory."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aiosv3.app.memorysettings import MemorySettings


def test_a_remote_embedder_has_an_address_and_a_model() -> None:
    with pytest.raises(ValidationError, match="base_url and model"):
        MemorySettings(embedder="remote")
    made = MemorySettings.model_validate(
        {"embedder": "remote", "remote": {"base_url": "http://h:1/v1", "model": "m"}, "teams": {"a-1": ["x"]}}
    )
    assert made.remote.model == "m"
    assert not made.on


def test_a_team_is_named_like_an_agent() -> None:
    with pytest.raises(ValidationError, match="teams"):
        MemorySettings.model_validate({"teams": {"A team": []}})


def test_a_view_on_weaviate() -> None:
    given = MemorySettings.model_validate({"view": "weaviate", "weaviate": {"url": "https://w.example:443"}})
    assert (given.weaviate.grpc_port, given.weaviate.collection) == (50_051, "Aiosv3Memory")


@pytest.mark.parametrize(
    ("weaviate", "error"),
    [
        ({"url": "w.example"}, "url"),
        ({"url": "http://127.0.0.1:50051"}, "url and grpc_port are both port 50051"),
        ({"collection": "my memories"}, "collection"),
        ({"timeout": 0}, "timeout"),
        ({"tail": 0}, "tail"),
    ],
)
def test_what_is_wrong_about_it(weaviate: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        MemorySettings.model_validate({"view": "weaviate", "weaviate": weaviate})
