"""What a model is asked about a licence text, and when its answer counts: for the agent and for its naive twin.

Each question names its distribution, so no two tasks ask the same one: what a model sees twice was asked twice.
"""

from __future__ import annotations

from typing import Any, Final

from aiosv3.app.demo.excerpt import LONGEST_EXCERPT, telling_lines
from aiosv3.app.demo.families import LICENCES, UNKNOWN, Licence, names, normalise

LICENCE_TOKENS: Final = 24
QUOTE_TOKENS: Final = 96
_SHORTEST_QUOTE: Final = 8


def choices(found: tuple[Licence, ...]) -> tuple[Licence, ...]:
    """The licences that the model may answer with: those whose phrases are there, else all; and that it cannot tell."""
    return (*found, UNKNOWN) if found else LICENCES


def licence_prompt(distribution: str, lines: list[str], licences: tuple[Licence, ...]) -> str:
    """The first question: which licence, out of the choices."""
    return (
        f"The licence file of the Python package {distribution} begins like this:\n{_listed(lines)}\n\n"
        f"Which licence is {distribution} itself under? Answer with one of: {', '.join(licences)}."
    )


def quote_prompt(distribution: str, lines: list[str], licence: str) -> str:
    """The second question: which line shows it."""
    return (
        f"Lines of the licence file of {distribution}:\n{_listed(lines)}\n\n"
        f"Which line shows that the licence is {licence}? Copy it."
    )


def unverified(text: str, licence: Licence, quote: str) -> str | None:
    """Why ``quote`` does not show that ``text`` is under ``licence``, or None if it does."""
    wanted = normalise(quote)
    if len(wanted) < _SHORTEST_QUOTE or wanted not in normalise(text):
        return "what it quotes does not stand in the text"
    return None if names(licence, quote) else f"the line that it quotes does not show that: {quote!r}"


def shown(text: str, licence: Licence) -> str | None:
    """A line of the text that shows the licence, for the person who reads the list."""
    return next((line for line in telling_lines(text) if names(licence, line)), None)


def answer_format(allowed: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """OpenAI's ``response_format`` for one of these strings, under ``value``: as a pool asks for a closed set."""
    one_of = {"enum": sorted(set(allowed)), "type": "string"}
    schema = {"type": "object", "properties": {"value": one_of}, "required": ["value"], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)[:LONGEST_EXCERPT]
