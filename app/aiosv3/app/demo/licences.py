"""The agent of the sample job: names the licence of a text, by rule where it can, by a model where it must.

Nothing that a model says is taken on trust: its licence must come from a closed set, and the line that it quotes must
stand in the text and show that licence. Whatever fails this is left to a person.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from aiosv3.agents import Context, StepError, agent
from aiosv3.app.demo.excerpt import telling_lines
from aiosv3.app.demo.families import UNKNOWN, Licence, families
from aiosv3.app.demo.questions import (
    LICENCE_TOKENS,
    QUOTE_TOKENS,
    choices,
    licence_prompt,
    quote_prompt,
    shown,
    unverified,
)


class LicenceText(BaseModel):
    """What an installed distribution ships as its licence, all files in one text. It does not say what it declares."""

    distribution: str
    version: str
    text: str


class Verdict(BaseModel):
    """The licence of a text. ``quote`` stands in the text. ``by`` person: nobody else could say, see ``reason``."""

    distribution: str
    licence: Licence
    by: Literal["rule", "model", "person"]
    quote: str | None = None
    reason: str


@agent(name="licences", order="none")
async def licences(ctx: Context, shipped: LicenceText) -> Verdict:
    """Says under which licence a distribution is, from the text that it ships."""
    found = families(shipped.text)
    if not shipped.text.strip():
        return _person(shipped, "it ships no licence text")
    if len(found) == 1:
        return Verdict(
            distribution=shipped.distribution,
            licence=found[0],
            by="rule",
            quote=shown(shipped.text, found[0]),
            reason="the phrases of this family, and of no other",
        )
    try:
        return await _ask(ctx, shipped, found)
    except StepError as error:
        return _person(shipped, f"no model answered: {type(error).__name__}: {error}")


async def _ask(ctx: Context, shipped: LicenceText, found: tuple[Licence, ...]) -> Verdict:
    lines, allowed = telling_lines(shipped.text), choices(found)
    licence: Licence = await ctx.generate(
        licence_prompt(shipped.distribution, lines, allowed),
        output_type=_one_of(allowed),
        max_tokens=LICENCE_TOKENS,
        temperature=0.0,
    )
    if licence == UNKNOWN:
        return _person(shipped, "the model could not tell")
    quote: str = await ctx.generate(
        quote_prompt(shipped.distribution, lines, licence),
        output_type=_one_of(lines),
        max_tokens=QUOTE_TOKENS,
        temperature=0.0,
    )
    doubt = unverified(shipped.text, licence, quote)
    if doubt is not None:
        return _person(shipped, f"the model said {licence}, but {doubt}")
    several = f"it chose among {', '.join(found)}" if found else "no phrase was known"
    return Verdict(
        distribution=shipped.distribution, licence=licence, by="model", quote=quote, reason=f"{several}; quote verified"
    )


def _one_of(allowed: tuple[str, ...] | list[str]) -> Any:
    """A closed set as a type, sorted: equal sets must make equal requests in every process, or a replay diverges."""
    return Literal[tuple(sorted(set(allowed)))]


def _person(shipped: LicenceText, reason: str) -> Verdict:
    return Verdict(distribution=shipped.distribution, licence=UNKNOWN, by="person", reason=reason)
