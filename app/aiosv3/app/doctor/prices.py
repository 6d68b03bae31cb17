"""Prices: what the calls of each pool cost, who says so, and where budgets could not hold."""

from __future__ import annotations

from collections.abc import Sequence

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding, Level
from aiosv3.app.pricing import Priced, Says, check_budgets, price_pools, table_of
from aiosv3.app.settings import SettingsError
from aiosv3.app.workers import clock
from aiosv3.schemas.errors import AiosError

NAME = "prices"


async def check(case: Case) -> Sequence[Finding]:
    """One line a pool. Raises ``BadPrices``."""
    priced = price_pools(await case.pools(), table_of(case.settings), clock())
    findings = [judged(one) for one in priced.values()]
    try:
        budgets = [agent.limits.usd_micros for agent in (await case.agents()).values()]
    except AiosError:  # the check of the project says so
        budgets = []
    try:
        check_budgets(case.settings, priced.values(), budgets)
    except SettingsError as error:
        unheld = Finding.failed(NAME, str(error), "nothing starts before that")
        return [one for one in findings if one.level is not Level.WARNING] + [unheld]
    return findings


def judged(priced: Priced) -> Finding:
    """What a pool costs."""
    if priced.warning is not None:
        return Finding.warning(NAME, priced.warning, None if priced.says is Says.NOBODY else "set them all")
    return Finding.ok(NAME, f"pool {priced.pool}: {priced.words}")
