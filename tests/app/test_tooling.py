"""Zones out of settings: places, secrets, and what is refused before anything is opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from toolstage import SERVERS

from aiosv3.app.settings import Settings, SettingsError, load_settings
from aiosv3.app.tooling import find_secret, open_zone, run_zone, zone_named
from aiosv3.tools import ToolRefused

PROJECT = """
[tools.office]
clearance = "internal"

[tools.office.servers.crm]
kind = "stdio"
command = "{python}"
args = ["{server}"]
env = {{ TOKEN = "Bearer ${{crm-token}}" }}
secrets = ["crm-token"]
timeout = 10

[tools.office.servers.notes]
kind = "files"
root = "notes"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    text = PROJECT.format(python=sys.executable, server=SERVERS / "plain.py")
    (tmp_path / "aiosv3.toml").write_text(text, encoding="utf-8")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a note", encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "crm-token").write_text("a-secret-token\n", encoding="utf-8")
    return tmp_path


async def test_a_zone_of_a_project_works(project: Path) -> None:
    servers = open_zone(load_settings(project), "office")
    try:
        assert set(servers) == {"crm", "notes"}
        assert (await servers["notes"].call("read", {"path": "a.txt"}, "t/1")).value == "a note"
        said = await servers["crm"].call("environment", {"name": "TOKEN"}, "t/2")
        assert said.value == "Bearer [secret crm-token]"
        with pytest.raises(ToolRefused):
            await servers["notes"].call("read", {"path": "../secrets/crm-token"}, "t/3")
    finally:
        for server in servers.values():
            await server.aclose()


def test_where_secrets_come_from(project: Path) -> None:
    settings = load_settings(project)
    assert find_secret(settings, "crm-token", {"AIOSV3_SECRET_CRM_TOKEN": "from here"}) == "from here"
    assert find_secret(settings, "crm-token", {}) == "a-secret-token"
    kept = Settings(folder=project, secrets={"bank-key": SecretStr("kept in settings")})
    assert find_secret(kept, "bank-key", {}) == "kept in settings"
    assert "kept in settings" not in repr(kept)
    for name in ("bank-key", "../aiosv3.toml"):
        with pytest.raises(SettingsError, match=f"no secret {name}: set AIOSV3_SECRET_"):
            find_secret(settings, name, {})
    (project / "secrets" / "folder").mkdir()
    with pytest.raises(SettingsError, match="cannot be read: IsADirectoryError"):
        find_secret(settings, "folder", {})


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"kind": "stdio"}, 'stdio needs command = "…"'),
        ({"kind": "files", "root": "x", "url": "http://x"}, "url means nothing for files"),
        ({"kind": "http", "url": "x"}, "no absolute"),
        ({"kind": "http", "url": "http://user:pass@x"}, "no credentials"),
        ({"kind": "http", "url": "http://x", "private": ["10.0.0.1/8"]}, "host bits"),
        ({"kind": "http", "url": "http://x", "timeout": 0}, "greater than 0"),
        ({"kind": "ftp", "url": "http://x"}, "kind"),
    ],
)
def test_wrong_settings_are_said_in_words(tmp_path: Path, server: dict[str, Any], words: str) -> None:
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in server.items())
    (tmp_path / "aiosv3.toml").write_text(f"[tools.office.servers.x]\n{lines}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=words):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"kind": "files", "root": "nothing"}, "tools.office.servers.x: there is no folder"),
        ({"kind": "http", "url": "http://x", "secrets": ["no-such"]}, "there is no secret no-such"),
        ({"kind": "http", "url": "http://x", "headers": {"A": "${no-such}"}}, "may not use a secret"),
        ({"kind": "http", "url": "http://x", "methods": ["TRACE"]}, "TRACE"),
        ({"kind": "openapi", "spec": "no.json"}, "cannot be read"),
        ({"kind": "openapi", "spec": "http://127.0.0.1:1/no.json"}, "cannot be fetched"),
    ],
)
def test_what_cannot_be_opened_is_said_before_anything_starts(
    tmp_path: Path, server: dict[str, Any], words: str
) -> None:
    settings = Settings.model_validate({"folder": tmp_path, "tools": {"office": {"servers": {"x": server}}}})
    with pytest.raises(SettingsError, match=words):
        open_zone(settings, "office")


async def test_an_unknown_zone_is_refused_before_anything_is_opened(project: Path) -> None:
    with pytest.raises(SettingsError, match="there is no tool zone 'x'; there is office"):
        zone_named(load_settings(project), "x")
    with pytest.raises(SettingsError, match=r"there is none: write \[tools.NAME\]"):
        await run_zone(Settings(folder=project), "x")


def test_names_of_zones_are_those_of_topics() -> None:
    with pytest.raises(ValueError, match="zone name 'No'"):
        Settings.model_validate({"tools": {"No": {}}})


def test_a_description_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text('{"openapi": "3.1.0", "paths": {}}', encoding="utf-8")
    server = {"kind": "openapi", "spec": "api.json", "url": "http://x"}
    settings = Settings.model_validate({"folder": tmp_path, "tools": {"office": {"servers": {"x": server}}}})
    assert set(open_zone(settings, "office")) == {"x"}
