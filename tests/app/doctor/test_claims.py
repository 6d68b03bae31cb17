from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.doctor import Level, claims
from aiosv3.streams.errors import ClaimsUnavailable


def objects(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("claims/*/*") if path.is_file()]


async def test_a_folder_is_written_and_read(case_of: Any, tmp_path: Path) -> None:
    (found,) = await claims.check(case_of())
    assert (found.level, found.message) == (Level.OK, f"{tmp_path / '.aiosv3/claims'} can be written and read")
    await claims.check(case_of())
    assert len(objects(tmp_path)) == 1


async def test_what_cannot_be_written_fails_in_words(case_of: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClaimsUnavailable, match="cannot be written"):
        await claims.check(case_of('[claims]\nurl = "file/below"'))


async def test_a_local_folder_beside_a_broker_elsewhere_is_a_warning(case_of: Any) -> None:
    (found,) = await claims.check(case_of('[kafka]\nbootstrap = "there:9092"'))
    assert (found.level, "folder of this machine" in found.message) == (Level.WARNING, True)


async def test_a_url_is_shown_without_what_may_be_secret(case_of: Any) -> None:
    (found,) = await claims.check(case_of('[claims]\nurl = "memory://user@store/claims?key=k"'))
    assert found.message == "memory://store/claims can be written and read"
