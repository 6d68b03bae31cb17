"""Refunds: a model with three tools, and a person who approves the one that costs money."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent

ORDERS = {"o-17": ("Ada", 120.0), "o-18": ("Bob", 15.0)}
PAID: dict[str, float] = {}


class Complaint(BaseModel):
    """What a customer writes."""

    text: str


class Settled(BaseModel):
    """What was done about it."""

    order: str
    refunded_usd: float
    answer: Annotated[str, Field(description="what the customer is told, one sentence")]


async def find_order(order: str) -> dict[str, str | float]:
    """Who ordered, and for how much."""
    customer, usd = ORDERS[order]
    return {"order": order, "customer": customer, "usd": usd}


async def refund(order: str, usd: Annotated[float, Field(gt=0)], step_key: str) -> str:
    """Pays money back."""
    # A real payment would be made with step_key as its idempotency key: a second execution pays nothing.
    PAID[step_key] = usd
    return f"{usd:.2f} USD paid back for {order}"


@agent
async def translator(ctx: Context, text: str) -> str:
    """Translates a text into English."""
    return await ctx.generate(text, system="Translate into English. Say nothing else.")


@agent(budget="0.20")
async def refunds(ctx: Context, complaint: Complaint) -> Settled:
    """Settles complaints."""
    return await ctx.loop(
        "You settle complaints of customers. Refund what was paid for what did not arrive, never more.",
        prompt=complaint.text,
        tools=[find_order, refund, translator],
        output_type=Settled,
        approve={refund: "finance"},
        max_steps=12,
    )
