"""All checks at once, each with the same deadline: the whole takes no longer than the slowest is allowed to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding, Level
from aiosv3.schemas.errors import AiosError

DEADLINE_S: Final = 6.5
"""With the start of the process and a slow machine, the command ends within ten seconds."""

Check: TypeAlias = Callable[[Case], Awaitable[Sequence[Finding]]]
"""Looks at one thing; raises :class:`AiosError` where that fails in words of its own."""


@dataclass(frozen=True, slots=True)
class Examination:
    """``overdue``: a check was cut off and may still hold a thread."""

    findings: tuple[Finding, ...]
    overdue: bool

    @property
    def level(self) -> Level:
        """The worst that was found."""
        found = {finding.level for finding in self.findings}
        return next((level for level in (Level.FAILED, Level.WARNING) if level in found), Level.OK)

    def count(self, level: Level) -> int:
        """How many findings are of ``level``."""
        return sum(finding.level is level for finding in self.findings)


async def examine(case: Case, checks: Mapping[str, Check], deadline_s: float = DEADLINE_S) -> Examination:
    """The findings in the order of ``checks``; one without an answer by the deadline has failed."""
    running = {name: asyncio.ensure_future(_checked(name, check, case)) for name, check in checks.items()}
    await asyncio.wait(running.values(), timeout=deadline_s)
    late = [task for task in running.values() if not task.done()]
    findings: list[Finding] = []
    for name, task in running.items():
        if task in late:
            findings.append(Finding.failed(name, f"no answer within {deadline_s:g} s: what it looks at hangs"))
        else:
            findings += task.result()
    for task in late:
        task.cancel()
    return Examination(tuple(findings), overdue=bool(late))


async def _checked(name: str, check: Check, case: Case) -> Sequence[Finding]:
    try:
        return await check(case)
    except AiosError as error:
        return [Finding.failed(name, str(error))]
    except Exception as error:  # noqa: BLE001 -- one check that is broken must not hide what the others found
        return [Finding.failed(name, f"the check itself failed: {type(error).__name__}: {error}")]
