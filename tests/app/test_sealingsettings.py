from __future__ import annotations

from pathlib import Path

import pytest

from aiosv3.app.effective import effective
from aiosv3.app.settings import SettingsError, file_values, load_settings
from aiosv3.schemas.headers import Clearance


def settings_in(folder: Path, text: str) -> Path:
    path = folder / "aiosv3.toml"
    path.write_text(text)
    return path


def test_nothing_is_sealed_unless_it_is_said(tmp_path: Path) -> None:
    sealing = load_settings(settings_in(tmp_path, "")).sealing
    assert (sealing.since, sealing.file, sealing.variable) == (None, None, None)


def test_the_words_of_the_file_and_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_in(tmp_path, '[sealing]\nfrom = "confidential"\nkeys = "file:data.keys"\nmaster = "env:KEYS"\n')
    sealing = load_settings(path).sealing
    assert (sealing.since, sealing.file, sealing.variable) == (Clearance.CONFIDENTIAL, "data.keys", "KEYS")
    monkeypatch.setenv("AIOSV3_SEALING__FROM", "restricted")
    settings = load_settings(path)
    assert settings.sealing.since is Clearance.RESTRICTED
    found = {one.name: one for one in effective(settings, settings, file_values(path))}
    assert found["sealing.from"].variable == "AIOSV3_SEALING__FROM"
    assert "sealing.since" not in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('from = "secret"', "no clearance"),
        ('keys = "folder"', '"topic" or in "file:PATH"'),
        ('keys = "file:"', "name a file"),
        ('master = "env:"', "name a variable"),
        ('kyes = "topic"', "no such setting; there are from, keys, master"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(settings_in(tmp_path, f"[sealing]\n{text}\n"))
