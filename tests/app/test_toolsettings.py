from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from aiosv3.app.toolsettings import ToolServerSettings, ToolZoneSettings
from aiosv3.schemas.headers import Clearance


def test_defaults_are_careful() -> None:
    zone = ToolZoneSettings()
    assert (zone.clearance, zone.max_bytes, zone.hard_bytes) == (Clearance.PUBLIC, 262_144, 16_777_216)
    server = ToolServerSettings(kind="http", url="https://x.example")
    assert (server.methods, server.private, server.secrets, server.retry) == (["GET"], [], [], None)
    assert ToolServerSettings(kind="files", root=Path("x")).write is False


def test_each_kind_has_what_it_needs_and_nothing_else() -> None:
    fine = {
        "stdio": {"command": "x"},
        "http-mcp": {"url": "http://x"},
        "http": {"url": "http://x"},
        "openapi": {"spec": "x"},
        "files": {"root": "x"},
    }
    for kind, settings in fine.items():
        ToolServerSettings.model_validate({"kind": kind, **settings})
        with pytest.raises(ValidationError, match="needs"):
            ToolServerSettings.model_validate({"kind": kind})
        foreign = {"command": "y"} if kind != "stdio" else {"write": True}
        with pytest.raises(ValidationError, match="means nothing for"):
            ToolServerSettings.model_validate({"kind": kind, **settings, **foreign})
