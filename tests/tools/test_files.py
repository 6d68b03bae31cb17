from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toolstage import served

from aiosv3.tools import AnswerTooLarge, ServedTools, ToolError, ToolRefused
from aiosv3.tools.files import FileTools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_text("ä and b", encoding="utf-8")
    (made / "sub" / "c.txt").write_text("c", encoding="utf-8")
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    (made / "link").symlink_to(tmp_path / "outside.txt")
    (made / "sub" / "up").symlink_to(tmp_path)
    return made


def files(root: Path, **more: Any) -> ServedTools:
    return served(FileTools(root, **more))


async def test_reading_writing_and_listing(root: Path) -> None:
    one = files(root, write=True)
    assert (await one.call("read", {"path": "a.txt"}, "t/1")).value == "ä and b"
    assert (await one.call("read", {"path": "./sub//c.txt"}, "t/1")).value == "c"
    assert (await one.call("write", {"path": "new/deep/d.txt", "text": "ü"}, "t/1")).value == {"bytes": 2}
    assert (root / "new" / "deep" / "d.txt").read_text(encoding="utf-8") == "ü"
    listed = (await one.call("list", {}, "t/1")).value
    assert [(entry["name"], entry["kind"]) for entry in listed] == [
        ("a.txt", "file"),
        ("link", "other"),
        ("new", "folder"),
        ("sub", "folder"),
    ]
    assert {spec.name: spec.repeatable for spec in await one.tools()} == {"list": True, "read": True, "write": True}


@pytest.mark.parametrize(
    "path",
    [
        *("../outside.txt", "sub/../../outside.txt", "/etc/passwd", "link", "sub/up/outside.txt", "a\0b", "", "."),
        *("sub", "nothing", "a.txt/x", "x" * 300),
    ],
)
async def test_nothing_outside_and_nothing_that_is_no_file_is_read(root: Path, path: str) -> None:
    with pytest.raises(ToolRefused):
        await files(root).call("read", {"path": path}, "t/1")


@pytest.mark.parametrize("path", ["../new.txt", "sub/up/new.txt", "sub/up/made/new.txt", "/tmp/new.txt", ""])
async def test_nothing_outside_is_written(root: Path, path: str) -> None:
    with pytest.raises(ToolRefused):
        await files(root, write=True).call("write", {"path": path, "text": "x"}, "t/1")
    assert {path.name for path in root.parent.iterdir()} == {"outside.txt", "root"}


async def test_writing_onto_a_link_replaces_the_link(root: Path) -> None:
    await files(root, write=True).call("write", {"path": "link", "text": "mine"}, "t/1")
    assert (root.parent / "outside.txt").read_text(encoding="utf-8") == "outside"
    assert (root / "link").read_text(encoding="utf-8") == "mine"


async def test_a_folder_that_may_not_be_changed(root: Path) -> None:
    with pytest.raises(ToolRefused, match="no tool 'write'"):
        await files(root).call("write", {"path": "x", "text": "x"}, "t/1")


async def test_sizes_pipes_and_bytes(root: Path) -> None:
    one = files(root, write=True, limit=10)
    (root / "big").write_bytes(b"x" * 11)
    (root / "bytes").write_bytes(b"\xff\xfe")
    os.mkfifo(root / "pipe")
    for tool, arguments, kind in [
        ("read", {"path": "big"}, AnswerTooLarge),
        ("read", {"path": "bytes"}, ToolRefused),
        ("read", {"path": "pipe"}, ToolRefused),
        ("write", {"path": "x", "text": "x" * 11}, AnswerTooLarge),
        ("write", {"path": "sub", "text": "x"}, ToolRefused),
    ]:
        expected: type[ToolError] = kind
        with pytest.raises(expected):
            await one.call(tool, arguments, "t/1")
    assert _drafts(root) == []


def _drafts(root: Path) -> list[Path]:
    return list(root.glob(".*"))
