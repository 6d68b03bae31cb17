"""Facts and preferences out of what was said, merged with what is known: a model proposes, rules and a model decide."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, Field

from aiosv3.agents.memory import Kind, Memory
from aiosv3.agents.remembering.asking import ABOUT, DATA_ONLY, Model, asked_of, clipped, data_block
from aiosv3.agents.remembering.turns import USER, Turn

if TYPE_CHECKING:
    from aiosv3.agents.context import Context

LONGEST_TEXT: Final = 10_000
"""Characters of one turn that the model is shown."""
LONGEST_FACT: Final = 500
MOST_TURNS: Final = 50
_KNOWN: Final = 5
"""Memories that one candidate is compared with."""
_TOKENS_A_NOTE: Final = 150
Learnable: TypeAlias = Literal["fact", "preference", "procedure"]
LEARNABLE: Final[tuple[Kind, ...]] = ("fact", "preference", "procedure")

_PROPOSE: Final = (
    "You take notes of a conversation for later ones: {about}. Write each as one short sentence that is understood "
    "without the conversation: names instead of pronouns; numbers, names and dates as they were said. Take only what "
    "the turns say themselves; no guesses, no greetings, nothing that is over tomorrow. At most {most}; none, if there "
    "is nothing to keep.\n" + DATA_ONLY
)
_DECIDE: Final = (
    "You keep notes free of doubles and contradictions. You get new notes and those that are known already. Say for "
    "each new one: 'nothing', if what is known says as much; 'supersede', and the number of the known note, if both "
    "are about the same thing and cannot both be so any more; else 'add'. Two notes about different things are never "
    "superseded, however alike they sound.\n" + DATA_ONLY
)


class Candidate(BaseModel):
    """Something that may be worth keeping."""

    text: Annotated[str, Field(description="one sentence that is understood alone")]
    kind: Learnable
    turn: Annotated[int, Field(description="number of the turn that says it")]


class Candidates(BaseModel):
    """What a model is asked for first; a test can script it: ``mesh.model(Candidates(…), output_type=Candidates)``."""

    notes: list[Candidate]


class Decision(BaseModel):
    """What becomes of one candidate."""

    note: Annotated[int, Field(description="number of the new note")]
    action: Literal["add", "supersede", "nothing"]
    known: Annotated[int | None, Field(description="number of the known note that it supersedes, else null")]


class Decisions(BaseModel):
    """What a model is asked for where something alike is known."""

    decisions: list[Decision]


@dataclass(frozen=True, slots=True)
class About:
    """Where what is learned belongs, and what is looked for (``about``, in words). ``most``: in one go."""

    subject: str | None = None
    scope: str = "agent"
    about: str = ABOUT
    most: int = 8


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of one candidate. ``id``: of the memory that says it. ``source``, ``position``: the turn it is from.

    ``added``; ``superseded`` (the memory ``supersedes`` is over); ``known``: nothing was written.
    """

    action: Literal["added", "superseded", "known"]
    text: str
    kind: Learnable
    id: str
    source: str
    position: int
    trust: int
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class _Note:
    """A candidate with the turn that it is from, and what is known that is like it."""

    text: str
    kind: Learnable
    turn: Turn
    known: tuple[Memory, ...] = ()

    @property
    def same(self) -> Memory | None:
        """A memory that says the same in the same words."""
        return next((one for one in self.known if _words(one.text) == _words(self.text)), None)


class _Verdict(NamedTuple):
    """What becomes of a note. ``known``: what says as much already, or (``ends``) what it takes the place of."""

    known: Memory | None = None
    ends: bool = False


_ADD: Final = _Verdict()


async def learn(ctx: Context, turns: Sequence[Turn], about: About, model: Model) -> list[Learned]:
    """Has a model find what is worth keeping in ``turns``, and remembers what is new.

    One model call, and one more where something alike is known; none without turns. What is trusted and what is not
    never share a prompt: no turn can lend its words the trust of another. Raises ModelRefused (no answer of the asked
    form) and whatever else ``generate``, ``recall`` and ``remember`` raise.
    """
    turns = [turn for turn in turns if turn.text.strip()][-MOST_TURNS:]
    learned: list[Learned] = []
    for trust in sorted({turn.trust for turn in turns}, reverse=True):
        learned += await _learn(ctx, [turn for turn in turns if turn.trust == trust], about, model)
    return learned


async def _learn(ctx: Context, turns: Sequence[Turn], about: About, model: Model) -> list[Learned]:
    proposed = await _proposed(ctx, turns, about, model)
    found = await asyncio.gather(*(_alike(ctx, note, about) for note in proposed))
    notes = [replace(note, known=known) for note, known in zip(proposed, found, strict=True)]
    doubtful = [note for note in notes if note.known and note.same is None]
    verdicts = await _decided(ctx, doubtful, model) if doubtful else {}
    verdicts |= {note.text: _Verdict(note.same) for note in notes if note.same is not None}
    return await asyncio.gather(*(_kept(ctx, note, about, verdicts.get(note.text, _ADD), model) for note in notes))


async def _proposed(ctx: Context, turns: Sequence[Turn], about: About, model: Model) -> list[_Note]:
    said = ({"turn": n, "speaker": one.speaker, "text": one.text[:LONGEST_TEXT]} for n, one in enumerate(turns, 1))
    answer = await ctx.generate(
        data_block(said),
        system=_PROPOSE.format(about=about.about, most=about.most),
        output_type=Candidates,
        max_tokens=_TOKENS_A_NOTE * (about.most + 1),
        **model,
    )
    notes: dict[str, _Note] = {}
    for one in answer.notes:
        text = clipped(one.text, LONGEST_FACT)
        turn = turns[one.turn - 1] if 1 <= one.turn <= len(turns) else turns[-1]
        if _words(text) and len(notes) < about.most:
            notes.setdefault(_words(text), _Note(text, one.kind, turn))
    return list(notes.values())


async def _alike(ctx: Context, note: _Note, about: About) -> tuple[Memory, ...]:
    """What is known about the same. What is trusted less than the note is not even looked at."""
    trust = min(note.turn.trust, 1)
    found = await ctx.recall(
        note.text, k=_KNOWN, subject=about.subject, scope=about.scope, kinds=LEARNABLE, min_trust=trust
    )
    return tuple(one for one in found if about.subject is not None or one.subject is None)


async def _decided(ctx: Context, notes: Sequence[_Note], model: Model) -> dict[str, _Verdict]:
    """By the text of a note. What a model says of notes that there are not counts for nothing."""
    known = list({one.id: one for note in notes for one in note.known}.values())
    told: list[dict[str, Any]] = [{"known": number, "text": one.text} for number, one in enumerate(known, 1)]
    told += [{"new": number, "text": note.text} for number, note in enumerate(notes, 1)]
    answer = await ctx.generate(
        data_block(told),
        system=_DECIDE,
        output_type=Decisions,
        max_tokens=_TOKENS_A_NOTE * (len(notes) + 1),
        **model,
    )
    verdicts: dict[str, _Verdict] = {}
    ended: set[str] = set()
    for one in answer.decisions:
        if not 1 <= one.note <= len(notes) or notes[one.note - 1].text in verdicts:
            continue
        note = notes[one.note - 1]
        target = known[one.known - 1] if one.known is not None and 1 <= one.known <= len(known) else None
        verdict = _verdict(note, one.action, target)
        if verdict.ends and verdict.known is not None:
            verdict = _ADD if verdict.known.id in ended else verdict
            ended.add(target.id if target is not None else "")
        verdicts[note.text] = verdict
    return verdicts


def _verdict(note: _Note, action: str, target: Memory | None) -> _Verdict:
    """A decision as far as the rules allow it: nothing ends what is trusted more, or what it was not compared with."""
    if action == "nothing":
        return _Verdict(target or note.known[0])
    compared = target is not None and any(one.id == target.id for one in note.known)
    if action == "supersede" and target is not None and compared and target.trust <= note.turn.trust:
        return _Verdict(target, ends=True)
    return _ADD


async def _kept(ctx: Context, note: _Note, about: About, verdict: _Verdict, model: Model) -> Learned:
    turn, known = note.turn, verdict.known
    if known is not None and not verdict.ends:
        return Learned("known", note.text, note.kind, known.id, turn.source, turn.position, known.trust)
    trust = min(turn.trust, 1)
    ended = None if known is None else known.id
    remembered = await ctx.remember(
        note.text,
        subject=about.subject,
        kind=note.kind,
        scope=about.scope,
        # Else the same words from a source that nobody trusts would be the next version of what is trusted.
        key=f"untrusted\t{note.text}" if trust == 0 else None,
        source=turn.source or None,
        position=turn.position,
        trust=trust,
        supersedes=ended,
        model=asked_of(ctx, model),
    )
    made: Literal["added", "superseded"] = "added" if ended is None else "superseded"
    return Learned(made, note.text, note.kind, remembered.id, turn.source, turn.position, trust, ended)


def _words(text: str) -> str:
    """What counts where two texts are compared."""
    return " ".join(text.casefold().split()).rstrip(".! ")


def turns_in(
    said: str | Turn | Memory | Sequence[Turn | Memory], speaker: str, place: tuple[str, int, int]
) -> list[Turn]:
    """What somebody gives to learn from, as turns. ``place``: source, position and trust of a text."""
    if isinstance(said, str):
        source, position, trust = place
        return [Turn(speaker, said, source, position, trust)]
    some = [said] if isinstance(said, (Turn, Memory)) else said
    return [one if isinstance(one, Turn) else _from_memory(one) for one in some]


def _from_memory(memory: Memory) -> Turn:
    return Turn(memory.speaker or USER, memory.text, memory.source, memory.position, memory.trust, None, memory.id)
