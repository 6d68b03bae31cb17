"""Keys by settings; what comes of them on a broker: tests/app/commands/test_keys.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiosv3.app.sealing import find_masters, following, master_path
from aiosv3.app.settings import Settings, SettingsError, load_settings
from aiosv3.schemas.headers import Clearance
from aiosv3.streams.keys import new_master_keys


def project(folder: Path, sealing: str) -> Settings:
    (folder / "aiosv3.toml").write_text(f"[sealing]\n{sealing}\n")
    return load_settings(folder)


def test_a_project_without_keys_has_none(tmp_path: Path) -> None:
    assert find_masters(project(tmp_path, "")) is None
    assert following(None) == []


def test_content_that_is_to_be_sealed_needs_keys(tmp_path: Path) -> None:
    settings = project(tmp_path, 'from = "confidential"')
    with pytest.raises(SettingsError, match="'aiosv3 keys new' makes them"):
        find_masters(settings)
    assert find_masters(settings, Clearance.INTERNAL) is None, "a pool below that class never meets any"
    with pytest.raises(SettingsError, match="the variable MINE"):
        find_masters(project(tmp_path, 'from = "public"\nmaster = "env:MINE"'), environment={})


def test_a_process_reads_the_classes_that_it_may_see(tmp_path: Path) -> None:
    settings = project(tmp_path, 'master = "my.keys"')
    (tmp_path / "my.keys").write_text(new_master_keys())
    assert master_path(settings) == tmp_path / "my.keys"
    found = find_masters(settings, Clearance.CONFIDENTIAL)
    assert found is not None
    assert [found.may(clearance) for clearance in Clearance] == [True, True, True, False]
    given = find_masters(project(tmp_path, 'master = "env:MINE"'), environment={"MINE": new_master_keys()})
    assert given is not None
    assert given.may(Clearance.RESTRICTED)


def test_damaged_keys_are_said_and_not_shown(tmp_path: Path) -> None:
    settings = project(tmp_path, 'master = "my.keys"')
    (tmp_path / "my.keys").write_text('public = "c2hvcnQ="')
    with pytest.raises(SettingsError, match=r"\[sealing\] master: the public master key") as error:
        find_masters(settings)
    assert "c2hvcnQ" not in str(error.value)
    (tmp_path / "my.keys").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        find_masters(settings)
