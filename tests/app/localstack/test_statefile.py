from __future__ import annotations

import shutil
from pathlib import Path

from aiosv3.app.localstack.statefile import StateFile
from aiosv3.app.localstack.status import Phase, StackStatus, read_status

STATUS = StackStatus(Phase.STOPPED, None, {}, ())


def test_whoever_harms_the_file_is_noticed(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    assert not file.is_intact()
    file.write(STATUS)
    assert file.is_intact()
    for harm in (lambda: (tmp_path / "state.json").write_text("{"), (tmp_path / "state.json").unlink):
        harm()
        assert not file.is_intact()
        file.write(STATUS)
        assert file.is_intact()
        assert read_status(tmp_path) == STATUS


def test_a_folder_that_was_deleted_is_let_go_also_when_another_one_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    file = StateFile(folder)
    assert not file.is_gone()
    shutil.rmtree(folder)
    assert file.is_gone()
    file.write(STATUS)
    assert not folder.exists()
    folder.mkdir()
    assert file.is_gone()
    file.write(STATUS)
    assert list(folder.iterdir()) == []
