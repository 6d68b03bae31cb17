"""Triage: another agent looks things up, a model decides, people approve dear refunds, a tool writes it down."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import helpdesk
from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent

RULES = {
    "charged": "A customer who was charged twice gets the second amount back.",
    "late": "A parcel that is late by more than a week is free of charge.",
}


class TicketOpened(BaseModel):
    """What a customer writes."""

    id: str
    customer: str
    text: str


class Question(BaseModel):
    """What is to be looked up."""

    text: str


class Facts(BaseModel):
    """The rules that have to do with it."""

    rules: list[str]


class Verdict(BaseModel):
    """What a model makes of it."""

    label: Literal["refund", "question", "outage"]
    refund_usd: Annotated[float, Field(ge=0)] = 0


class TicketTriaged(BaseModel):
    """What was decided."""

    id: str
    label: Literal["refund", "question", "outage"]
    refund_usd: float
    approved_by: str | None = None


@agent
async def research(_ctx: Context, question: Question) -> Facts:
    """Looks up the rules of the house."""
    return Facts(rules=[rule for word, rule in RULES.items() if word in question.text.lower()])


@agent(clearance="confidential", budget="0.05", deadline=timedelta(days=1))
async def triage(ctx: Context, ticket: TicketOpened) -> TicketTriaged:
    """Says what a ticket is about, and what is paid back."""
    facts = await ctx.call(research, Question(text=ticket.text))
    verdict = await ctx.generate(_prompt(ticket, facts), output_type=Verdict)
    approved_by = None
    if verdict.refund_usd > 100:
        approval = await ctx.approve(
            f"Refund {verdict.refund_usd:.2f} USD to {ticket.customer}?", by="finance", timeout=timedelta(hours=2)
        )
        approved_by = approval.who
    await ctx.call(helpdesk.update, ticket=ticket.id, label=verdict.label)
    return TicketTriaged(id=ticket.id, label=verdict.label, refund_usd=verdict.refund_usd, approved_by=approved_by)


def _prompt(ticket: TicketOpened, facts: Facts) -> str:
    rules = "\n".join(facts.rules) or "There is no rule for this."
    return f"Label this ticket, and say how much is paid back.\n\n{ticket.text}\n\nRules of the house:\n{rules}"
