"""Room in the state folder: the local broker's data, logs and claims lie there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiosv3.app.doctor.aside import aside
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding

NAME = "disk"
_FEW: Final = 1 << 30
_TOO_FEW: Final = 100 << 20


async def check(case: Case) -> Sequence[Finding]:
    """Free space, and whether the folder can be written."""
    folder = case.settings.state_folder
    existing = await aside(lambda: _existing(folder))
    free = (await aside(lambda: shutil.disk_usage(existing))).free
    if not await aside(lambda: os.access(existing, os.W_OK)):
        return [Finding.failed(NAME, f"{existing} cannot be written", "give this user the folder, or set state = …")]
    return [judged(folder, free)]


def judged(folder: Path, free: int) -> Finding:
    """What ``free`` bytes mean."""
    said = f"{free / (1 << 30):.1f} GiB free for {folder}"
    if free < _TOO_FEW:
        return Finding.failed(NAME, said, "make room, or set state = … to a folder with room")
    if free < _FEW:
        return Finding.warning(NAME, said, "make room: a broker whose disk is full stops")
    return Finding.ok(NAME, said)


def _existing(folder: Path) -> Path:
    """The folder, or the one above in which it would be made."""
    return next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
