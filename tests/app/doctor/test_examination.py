from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiosv3.app.doctor import CHECKS, Case, Finding, Level, examine
from aiosv3.schemas.errors import AiosError


async def fine(_case: Case) -> Sequence[Finding]:
    return [Finding.ok("fine", "as it should be")]


async def silent(_case: Case) -> Sequence[Finding]:
    await asyncio.Event().wait()
    return ()


async def broken(_case: Case) -> Sequence[Finding]:
    raise LookupError("a defect")


async def said(_case: Case) -> Sequence[Finding]:
    raise AiosError("what is wrong, and what to do")


async def test_all_that_hang_end_together_at_the_deadline(case_of: Any) -> None:
    began = time.monotonic()
    found = await examine(case_of(), {"one": silent, "two": silent, "fine": fine}, 0.2)
    assert time.monotonic() - began < 5
    assert [(one.check, one.level) for one in found.findings] == [
        ("one", Level.FAILED),
        ("two", Level.FAILED),
        ("fine", Level.OK),
    ]
    assert found.findings[0].message == "no answer within 0.2 s: what it looks at hangs"
    assert (found.overdue, found.level, found.count(Level.FAILED)) == (True, Level.FAILED, 2)


async def test_a_check_that_breaks_hides_nothing_and_shows_no_trace(case_of: Any) -> None:
    found = await examine(case_of(), {"broken": broken, "said": said, "fine": fine}, 30)
    assert [one.message for one in found.findings] == [
        "the check itself failed: LookupError: a defect",
        "what is wrong, and what to do",
        "as it should be",
    ]
    assert not found.overdue


async def test_the_worst_counts(case_of: Any) -> None:
    async def warned(_case: Case) -> Sequence[Finding]:
        return [Finding.warning("w", "so so")]

    assert (await examine(case_of(), {"f": fine}, 30)).level is Level.OK
    assert (await examine(case_of(), {"f": fine, "w": warned}, 30)).level is Level.WARNING


async def test_a_project_with_nothing_at_all_is_examined_whole(case_of: Any) -> None:
    found = await examine(
        case_of("[pools.p]\nkind = 'openai'\nmodel = 'm'\nbase_url = 'http://127.0.0.1:1/v1'"), CHECKS
    )
    checks = {one.check for one in found.findings}
    assert {"versions", "project", "disk", "local stack", "claim store", "broker", "registry", "pool p"} <= checks
    assert "the check itself failed" not in str(found.findings)
