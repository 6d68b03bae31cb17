from __future__ import annotations

from importlib.metadata import version
from typing import Any

import confluent_kafka
import pytest

from aiosv3.app.doctor import Level, versions


async def test_versions_are_told(case_of: Any) -> None:
    (found,) = await versions.check(case_of())
    assert found.level is Level.OK
    assert f"confluent-kafka {version('confluent-kafka')}" in found.message


async def test_a_client_on_another_library_is_a_warning(case_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent_kafka, "libversion", lambda: ("1.9.2", 0))
    (found,) = await versions.check(case_of())
    assert found.level is Level.WARNING
    assert found.message.endswith("with librdkafka 1.9.2: they are not of one release")
