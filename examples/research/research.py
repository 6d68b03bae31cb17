"""Research: a question is taken apart, its parts are answered side by side by tasks of their own, and put together."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import BaseModel, Field

from aiosv3.agents import AgentFailed, Context, Limits, agent

MOST = 200


class Question(BaseModel):
    """What somebody wants to know, and in how many parts it may be taken apart."""

    text: str
    parts: Annotated[int, Field(ge=1, le=MOST)] = 5


class Plan(BaseModel):
    """The parts of a question."""

    questions: list[str]


class Finding(BaseModel):
    """The answer to a part."""

    question: str
    answer: str


class Report(BaseModel):
    """What came out of it."""

    summary: str
    findings: list[Finding]
    failed: list[str]


@agent(budget="0.05")
async def look_up(ctx: Context, question: str) -> Finding:
    """Answers one question."""
    return Finding(question=question, answer=await ctx.generate(question, system="Answer in one sentence."))


@agent(budget="1.00", limits=Limits(fan_out=MOST))
async def research(ctx: Context, question: Question) -> Report:
    """Answers a question by its parts. A part without an answer does not take the others down."""
    plan = await ctx.generate(
        f"Take this question apart into at most {question.parts} questions: {question.text}", output_type=Plan
    )
    asked = list(dict.fromkeys(plan.questions))[: question.parts]
    answers = await asyncio.gather(*(ctx.call(look_up, part) for part in asked), return_exceptions=True)
    findings = [answer for answer in answers if isinstance(answer, Finding)]
    failed = [part for part, answer in zip(asked, answers, strict=True) if not isinstance(answer, Finding)]
    if not findings:
        raise AgentFailed(f"none of the {len(asked)} parts has an answer")
    known = "\n".join(f"- {finding.question} {finding.answer}" for finding in findings)
    summary = await ctx.generate(f"Answer from these findings alone.\n{known}\n\nQuestion: {question.text}")
    return Report(summary=summary, findings=findings, failed=failed)
