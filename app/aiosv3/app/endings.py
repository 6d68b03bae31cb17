"""How a command ends where the machine is the reason: a disk, a permission, a reader that went away."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_WRITING: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


def said_of(error: OSError) -> str | None:
    """What to do about an error of the machine, in one sentence; None where it says nothing to a person."""
    place = f" {error.filename}" if error.filename else ""
    if error.errno in _NO_ROOM:
        return f"the disk is full{place and ', at' + place}: make room, or set AIOSV3_STATE to a folder that has some"
    if error.errno in _NO_WRITING and place:
        return (
            f"{error.filename} cannot be used ({error.strerror}): make it writable for this user, or set AIOSV3_STATE "
            "to another folder"
        )
    if error.errno in _NO_MORE:
        return f"this machine has no more ({error.strerror}): end some programs, or raise the limit (ulimit -a)"
    return None


@contextmanager
def output() -> Iterator[None]:
    """What was printed goes out inside of this block, so that an error of it can be caught, and not at the very end.

    A reader that goes away (``| head -1``) ends the command with 1, silently.
    """
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
    except BrokenPipeError:
        _let_go()
        raise SystemExit(1) from None
    except OSError:
        # What could not be written is still in the buffer; the interpreter would try again, and complain.
        _let_go()
        raise


def _let_go() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
