from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.settings import PoolSettings, Settings, SettingsError


async def test_what_several_checks_want_is_asked_once(case_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def find_pools(settings: Settings) -> dict[str, PoolSettings]:
        asked.append(settings)
        return {}

    monkeypatch.setattr("aiosv3.app.doctor.case.find_pools", find_pools)
    case = case_of()
    assert (await case.pools(), await case.pools()) == ({}, {})
    assert len(asked) == 1


async def test_without_a_broker_there_is_none_and_its_check_says_why(case_of: Any) -> None:
    case = case_of()
    assert await case.reached() is None
    with pytest.raises(SettingsError, match="no broker: start the local stack"):
        await case.broker()


async def test_a_broker_that_does_not_answer_is_none(case_of: Any) -> None:
    assert await case_of('[kafka]\nbootstrap = "127.0.0.1:1"', patience=0.3).reached() is None


async def test_agents_that_cannot_be_loaded_say_so_each_time(case_of: Any) -> None:
    case = case_of('agents = ["no_such_module:f"]')
    for _ in range(2):
        with pytest.raises(SettingsError, match="cannot be imported"):
            await case.agents()
