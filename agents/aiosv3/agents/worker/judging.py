"""Looks at prompts before they are sent: what stands in a text may raise the class of its request, never lower it.

The class follows from the text alone, so that a request that is sent again has the class that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiosv3.agents.steps import ModelStep
from aiosv3.prompts.scan import Judging, Verdict, judge, texts_of
from aiosv3.schemas.headers import Clearance

AT_ONCE: Final = 20_000
"""Characters that are looked at without letting others in between: a millisecond or two."""
HISTORY: Final = "history"
"""The kind that stands for all that was found in the stored part of a conversation."""


def verdict_on(step: ModelStep, given: Clearance) -> Verdict | Awaitable[Verdict]:
    """The class of a request whose task is of class ``given``, and for what of its text it was raised."""
    known = Verdict(given) if step.stored <= given else Verdict(step.stored, (HISTORY,))
    if known.clearance is Clearance.RESTRICTED:
        return known
    if sum(map(len, texts_of(step.prompt))) <= AT_ONCE:
        return _higher(known, judge(step.prompt))
    return _judged_beside(known, step)


async def _judged_beside(known: Verdict, step: ModelStep) -> Verdict:
    judging = Judging(step.prompt)
    for _ in judging:
        await asyncio.sleep(0)
    return _higher(known, judging.verdict)


def _higher(known: Verdict, found: Verdict) -> Verdict:
    return found if found.clearance > known.clearance else known
