"""Key stores that rings share: the file, and the topic on the broker in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.keys import FileKeys, KeyStore, MasterKeys, TopicKeys, new_master_keys
from aiosv3.streams.testing import MemoryBroker, MemoryLog


@pytest.fixture(params=["file", "topic"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], KeyStore]:
    """Makes the store as one more process sees it."""
    if request.param == "file":
        return lambda: FileKeys(tmp_path / "keys" / "data.keys")
    broker, codec = MemoryBroker(), Codec(SchemaStore())
    broker.create_topic("aios.keys", 1)
    return lambda: TopicKeys(MemoryLog(broker, "somebody"), codec, "aios.keys")


@pytest.fixture(scope="session")
def master_text() -> str:
    """Master keys of all classes."""
    return new_master_keys()


@pytest.fixture
def masters(master_text: str) -> Callable[[Clearance], MasterKeys]:
    """The master keys of a process that is cleared up to a class."""
    return lambda up_to: MasterKeys.parse(master_text, up_to)
