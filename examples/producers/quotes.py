"""An agent that needs no model: what it costs to send a parcel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent


class Parcel(BaseModel):
    """What a customer wants to send."""

    kilograms: Annotated[float, Field(gt=0, le=30)]
    country: Literal["DE", "FR", "PL"]


class Quote(BaseModel):
    """What it costs."""

    usd: float
    days: int


@agent
async def quote(_ctx: Context, parcel: Parcel) -> Quote:
    """Says what it costs to send a parcel."""
    abroad = parcel.country != "DE"
    return Quote(usd=round((9 if abroad else 4) + 1.5 * parcel.kilograms, 2), days=4 if abroad else 1)
