"""Presidio is loaded where the project wants it, and what is missing ends the worker in words."""

from __future__ import annotations

import pytest

from aiosv3.app.scansettings import PresidioSettings
from aiosv3.app.secondlook import second_look
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.prompts.scan import presidio
from aiosv3.prompts.scan.presidio import CannotLook, PresidioPolicy

WANTED = Settings(presidio=PresidioSettings(enabled=True, language="de"))


async def test_it_is_loaded_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[PresidioPolicy] = []
    monkeypatch.setattr(presidio, "open_presidio", opened.append)
    assert await second_look(Settings()) is None
    assert opened == []
    await second_look(WANTED)
    assert [policy.language for policy in opened] == ["de"]


async def test_what_is_missing_is_a_setting_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_policy: PresidioPolicy) -> None:
        raise CannotLook("Presidio is not installed here")

    monkeypatch.setattr(presidio, "open_presidio", refuse)
    with pytest.raises(SettingsError, match=r"^\[presidio\] is enabled, but Presidio is not installed here$"):
        await second_look(WANTED)
