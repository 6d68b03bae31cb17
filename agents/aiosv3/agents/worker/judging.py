"""Looks at prompts before they are sent: what stands in a text may raise the class of its request, never lower it.

The class follows from the text alone, so that a request that is sent again has the class that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiosv3.agents.steps import ModelStep
from aiosv3.prompts.scan import Judging, SecondLook, Verdict, judge, texts_of
from aiosv3.schemas.headers import Clearance

AT_ONCE: Final = 20_000
"""Characters that are looked at without letting others in between: a millisecond or two."""
HISTORY: Final = "history"
"""The kind that stands for all that was found in the stored part of a conversation."""


def verdict_on(step: ModelStep, given: Clearance, second: SecondLook | None = None) -> Verdict | Awaitable[Verdict]:
    """The class of a request whose task is of class ``given``, and for what of its text it was raised.

    ``second`` looks at what the scan of this package leaves below the highest class that it could find itself.
    """
    known = Verdict(given) if step.stored <= given else Verdict(step.stored, (HISTORY,))
    if known.clearance is Clearance.RESTRICTED:
        return known
    if sum(map(len, texts_of(step.prompt))) > AT_ONCE:
        return _judged_beside(known, step, second)
    known = _higher(known, judge(step.prompt))
    return known if second is None or known.clearance >= second.most else _looked_at_again(known, step, second)


async def _looked_at_again(known: Verdict, step: ModelStep, second: SecondLook) -> Verdict:
    if step.prompt.history is not None:
        # Its words lie in the claim store, and were put there without this look.
        return Verdict(second.most, (HISTORY,))
    return _higher(known, await second.judge(step.prompt))


async def _judged_beside(known: Verdict, step: ModelStep, second: SecondLook | None) -> Verdict:
    judging = Judging(step.prompt)
    for _ in judging:
        await asyncio.sleep(0)
    known = _higher(known, judging.verdict)
    return known if second is None or known.clearance >= second.most else await _looked_at_again(known, step, second)


def _higher(known: Verdict, found: Verdict) -> Verdict:
    return found if found.clearance > known.clearance else known
