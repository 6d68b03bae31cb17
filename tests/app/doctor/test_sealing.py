"""The master keys of what is sealed are here, or it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiosv3.app.doctor import Level, sealing
from aiosv3.schemas.headers import Clearance
from aiosv3.streams.keys import new_master_keys

_ON = '[sealing]\nfrom = "confidential"\nmaster = "keys"\n'


async def test_where_nothing_is_sealed_nothing_is_said(case_of: Any) -> None:
    assert list(await sealing.check(case_of())) == []


async def test_keys_that_are_missing_are_named(case_of: Any, tmp_path: Path) -> None:
    (found,) = await sealing.check(case_of(_ON))
    assert (found.level, "'aiosv3 keys new' makes them" in found.message) == (Level.FAILED, True)
    (tmp_path / "keys").write_text("nonsense")
    (found,) = await sealing.check(case_of(_ON))
    assert (found.level, "[sealing] master" in found.message) == (Level.FAILED, True)


async def test_a_machine_of_a_pool_has_only_some_of_them(case_of: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(new_master_keys([Clearance.PUBLIC, Clearance.CONFIDENTIAL]))
    (found,) = await sealing.check(case_of(_ON))
    assert (found.level, "needs master keys for restricted" in found.message) == (Level.WARNING, True)
    (tmp_path / "keys").write_text(new_master_keys())
    (found,) = await sealing.check(case_of(_ON))
    assert (found.level, found.message.endswith("here")) == (Level.OK, True)
