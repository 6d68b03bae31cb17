"""What ``aiosv3 stubs`` wrote, in use."""

from __future__ import annotations

from typing import assert_type

import crm

from aiosv3.agents import Context, Secret


async def use(ctx: Context) -> str:
    node = await ctx.call(crm.get_ticket, id=Secret("ticket-id"), tree={"name": "x", "below": [{"name": "y"}]})
    assert_type(node["name"], str)
    rows = await ctx.call(crm.list_2, limit=None, map={"a": 1}, state="state number 3")
    await ctx.call(crm.ping)
    return node["name"] + str(rows[0]["n"]) + await ctx.call(crm.anything, x=1)
