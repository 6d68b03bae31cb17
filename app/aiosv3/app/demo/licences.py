"""The agent of the sample job: names the licence of a text, by rule where it can, by a model where it must.

Nothing that a model says is taken on trust: its licence must come from a closed set, and the line that it quotes must
stand in the text and show that licence. Whatever fails this is left to a person.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel

from aiosv3.agents import Context, StepError, agent
from aiosv3.app.demo.excerpt import LONGEST_EXCERPT, telling_lines
from aiosv3.app.demo.families import LICENCES, UNKNOWN, Licence, families, names, normalise

_LICENCE_TOKENS: Final = 24
_QUOTE_TOKENS: Final = 96
_SHORTEST_QUOTE: Final = 8


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
            quote=_shown(shipped.text, found[0]),
            reason="the phrases of this family, and of no other",
        )
    try:
        return await _ask(ctx, shipped, found)
    except StepError as error:
        return _person(shipped, f"no model answered: {type(error).__name__}: {error}")


async def _ask(ctx: Context, shipped: LicenceText, found: tuple[Licence, ...]) -> Verdict:
    lines = telling_lines(shipped.text)
    choices: tuple[Licence, ...] = (*found, UNKNOWN) if found else LICENCES
    licence: Licence = await ctx.generate(
        licence_prompt(shipped.distribution, lines, choices),
        output_type=_one_of(choices),
        max_tokens=_LICENCE_TOKENS,
        temperature=0.0,
    )
    if licence == UNKNOWN:
        return _person(shipped, "the model could not tell")
    quote: str = await ctx.generate(
        quote_prompt(lines, licence), output_type=_one_of(lines), max_tokens=_QUOTE_TOKENS, temperature=0.0
    )
    doubt = unverified(shipped.text, licence, quote)
    if doubt is not None:
        return _person(shipped, f"the model said {licence}, but {doubt}")
    several = f"it chose among {', '.join(found)}" if found else "no phrase was known"
    return Verdict(
        distribution=shipped.distribution, licence=licence, by="model", quote=quote, reason=f"{several}; quote verified"
    )


def licence_prompt(distribution: str, lines: list[str], choices: tuple[Licence, ...]) -> str:
    """The first question: which licence, out of the choices."""
    return (
        f"The licence file of the Python package {distribution} begins like this:\n{_listed(lines)}\n\n"
        f"Which licence is {distribution} itself under? Answer with one of: {', '.join(choices)}."
    )


def quote_prompt(lines: list[str], licence: Licence) -> str:
    """The second question: which line shows it."""
    return f"Lines of a licence file:\n{_listed(lines)}\n\nWhich line shows that the licence is {licence}? Copy it."


def unverified(text: str, licence: Licence, quote: str) -> str | None:
    """Why ``quote`` does not show that ``text`` is under ``licence``, or None if it does."""
    wanted = normalise(quote)
    if len(wanted) < _SHORTEST_QUOTE or wanted not in normalise(text):
        return "what it quotes does not stand in the text"
    return None if names(licence, quote) else f"the line that it quotes does not show that: {quote!r}"


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)[:LONGEST_EXCERPT]


def _one_of(choices: tuple[str, ...] | list[str]) -> Any:
    """A closed set as a type, sorted: equal sets must make equal requests in every process, or a replay diverges."""
    return Literal[tuple(sorted(set(choices)))]


def _shown(text: str, licence: Licence) -> str | None:
    """A line of the text that shows the licence, for the person who reads the list."""
    return next((line for line in telling_lines(text) if names(licence, line)), None)


def _person(shipped: LicenceText, reason: str) -> Verdict:
    return Verdict(distribution=shipped.distribution, licence=UNKNOWN, by="person", reason=reason)
