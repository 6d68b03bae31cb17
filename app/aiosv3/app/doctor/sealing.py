"""Sealing: whether this machine has the master keys of what is sealed."""

from __future__ import annotations

from collections.abc import Sequence

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.sealing import check_masters, find_masters
from aiosv3.app.settings import SettingsError

NAME = "sealing"


async def check(case: Case) -> Sequence[Finding]:
    """Silent where nothing is sealed. Agents need the keys of all classes that are."""
    since = case.settings.sealing.since
    if since is None:
        return ()
    try:
        find_masters(case.settings)
    except SettingsError as error:
        return [Finding.failed(NAME, str(error), "no worker that needs them starts before that")]
    try:
        check_masters(case.settings)
    except SettingsError as error:
        return [Finding.warning(NAME, str(error), "nothing, if only pools or tools run on this machine")]
    return [Finding.ok(NAME, f"content is sealed from {since.label} on, and its master keys are here")]
