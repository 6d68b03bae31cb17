"""Which files are read, and what cannot be."""

from __future__ import annotations

from pathlib import Path

from aiosv3.app.determinism.sources import check_file, python_files


def test_folders_are_walked_without_environments_and_builds(tmp_path: Path) -> None:
    kept = ("agents.py", "desk/letters.py", "venv_notes/x.py")
    dropped = (".venv/x.py", "env/lib/x.py", "node_modules/x.py", "desk/__pycache__/x.py", "notes.txt")
    for name in (*kept, *dropped):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "env" / "pyvenv.cfg").write_text("", encoding="utf-8")
    found = python_files([tmp_path])
    assert [file.relative_to(tmp_path.resolve()).as_posix() for file in found] == list(kept)


def test_a_file_is_read_once_and_taken_by_name_whatever_its_ending(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("", encoding="utf-8")
    (tmp_path / "agents.py").write_text("", encoding="utf-8")
    found = python_files([script, tmp_path, tmp_path / "agents.py"])
    assert [file.name for file in found] == ["script", "agents.py"]


def test_what_is_no_python_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "agents.py"
    for content, line in ((b"x = 1\ndef (\n", 2), (b"x = '\0'\n", 1), (b"# coding: nope\n", 1), (b"x = '\xff'\n", 1)):
        file.write_bytes(content)
        (found,) = check_file(file, "agents.py")
        assert (found.rule, found.line) == ("syntax", line), content


def test_a_file_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "agents.py"
    file.write_bytes("# coding: latin-1\nx = 'é'\n".encode("latin-1"))
    assert check_file(file, "agents.py") == []
