"""One line a pool, and a budget that could not hold."""

from __future__ import annotations

from typing import Any

from aiosv3.app.doctor import Level, prices

_KNOWN = '[pools.luna]\nkind = "openai"\nmodel = "gpt-6-luna"\n'
_UNKNOWN = '[pools.far]\nkind = "openai"\nmodel = "m"\nbase_url = "https://models.example.org/v1"\n'
_OWN = '[pools.box]\nkind = "vllm"\nmodel = "m"\nbase_url = "http://box/v1"\n'


async def test_each_pool_says_what_it_costs(case_of: Any) -> None:
    found = await prices.check(case_of(_KNOWN + _UNKNOWN + _OWN))
    assert [finding.level for finding in found] == [Level.OK, Level.WARNING, Level.OK]
    assert found[0].message.startswith("pool luna: 0.10/0.50 USD per million tokens")
    assert found[1].message.startswith("nobody knows what pool far")
    assert found[2].message.startswith("pool box: free")


async def test_a_budget_that_could_not_hold_has_failed(case_of: Any) -> None:
    found = await prices.check(case_of(f"[agent.a]\nbudget = 0.5\n{_KNOWN}{_UNKNOWN}"))
    assert [finding.level for finding in found] == [Level.OK, Level.FAILED]
    assert found[1].message.startswith("agent.a.budget is set, but nobody knows what pool far")


async def test_half_a_price(case_of: Any) -> None:
    (found,) = await prices.check(case_of(f"{_KNOWN}input_usd_per_mtok = 1\n"))
    assert (found.level, found.action) == (Level.WARNING, "set them all")
