from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.doctor import Level, project
from aiosv3.app.settings import SettingsError

_LOCAL = "[pools.p]\nkind = 'local'\n"


async def test_a_project_says_its_file_and_its_agents(case_of: Any, desk_files: Any, tmp_path: Path) -> None:
    desk_files(tmp_path)
    (found,) = await project.check(case_of(f'agents = ["letters_desk:desk"]\n{_LOCAL}'))
    assert (found.level, found.message) == (Level.OK, f"{tmp_path / 'aiosv3.toml'}: agents desk")


async def test_no_agents_are_a_warning_and_a_module_that_fails_fails(case_of: Any) -> None:
    (found,) = await project.check(case_of())
    assert found.level is Level.WARNING
    with pytest.raises(SettingsError, match="cannot be imported"):
        await project.check(case_of('agents = ["no_such_module:f"]'))


async def test_workers_on_many_machines_must_share_a_secret(case_of: Any) -> None:
    broker = '[kafka]\nbootstrap = "there:9092"\n'
    assert [one.level for one in await project.check(case_of(broker))] == [Level.WARNING, Level.WARNING]
    assert len(await project.check(case_of(f'{broker}[mesh]\nsecret = "s"\n'))) == 1
