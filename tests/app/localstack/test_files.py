from __future__ import annotations

from pathlib import Path

from aiosv3.app.localstack.files import read_json, write_atomic


def test_state_files_are_private_and_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x.json", '{"a": 1}')
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "x.json").write_text('{"a"')
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "y.json") is None
