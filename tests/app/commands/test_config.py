from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_PROJECT = '[kafka]\nbootstrap = "there:9092"\nproperties = { "sasl.password" = "pw" }\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    file = tmp_path / "aiosv3.toml"
    file.write_text(_PROJECT, encoding="utf-8")
    return file


def test_what_was_set_is_shown_with_its_source(project: Path, aiosv3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_MESH__SECRET", "pw")
    monkeypatch.setenv("AIOSV3_KAFKA_PREFIX", "x.")
    said = aiosv3("config", "-p", str(project))
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert said.code == 0
    assert lines[0] == 'kafka.bootstrap = "there:9092" file'
    assert 'mesh.secret = "(hidden)" environment' in lines
    assert lines[-2] == f"file: {project}"
    assert "pw" not in said.out
    assert "kafka.prefix" not in said.out
    assert said.err.startswith("AIOSV3_KAFKA_PREFIX sets nothing")
    assert "kafka.prefix" in aiosv3("config", "--all", "-p", str(project)).out


def test_json_holds_all_settings_and_keeps_its_names(project: Path, aiosv3: Any) -> None:
    found = json.loads(aiosv3("config", "--json", "-p", str(project)).out)
    assert set(found) == {"file", "settings", "unused_variables"}
    assert set(found["settings"][0]) == {"name", "value", "source", "variable"}
    by_name = {one["name"]: one for one in found["settings"]}
    assert (by_name["kafka.partitions"]["value"], by_name["kafka.partitions"]["source"]) == (6, "default")
    assert by_name["kafka.properties.sasl.password"]["value"] == "(hidden)"


def test_settings_that_are_wrong_end_with_2(project: Path, aiosv3: Any) -> None:
    project.write_text("[kafka]\nbroker = 'x'", encoding="utf-8")
    said = aiosv3("config", "-p", str(project))
    assert (said.code, "there is no such setting" in said.err) == (2, True)
