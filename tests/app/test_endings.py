"""How a command ends where the machine is the reason."""

from __future__ import annotations

import errno
import os

import pytest

from aiosv3.app.endings import said_of


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full, at /x: make room"),
        (errno.EDQUOT, "the disk is full, at /x: make room"),
        (errno.EACCES, "/x cannot be used (Permission denied): make it writable"),
        (errno.EROFS, "/x cannot be used (Read-only file system): make it writable"),
        (errno.ENOTDIR, "/x cannot be used (Not a directory)"),
        (errno.EMFILE, "this machine has no more (Too many open files)"),
    ],
)
def test_an_error_of_the_machine_says_what_to_do(number: int, words: str) -> None:
    said = said_of(OSError(number, os.strerror(number), "/x"))
    assert said is not None
    assert said.startswith(words)


def test_what_no_person_can_help_stays_a_defect() -> None:
    assert said_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "/x")) is None
    assert said_of(PermissionError(errno.EACCES, "Permission denied")) is None
    assert said_of(OSError("no number")) is None
