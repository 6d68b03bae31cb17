"""Searches that a model helps with: other words for what is looked for, and a second look at what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, cast

from pydantic import BaseModel, Field

from aiosv3.agents.errors import StepError, TreeCancelled
from aiosv3.agents.memory import Memories, Memory
from aiosv3.agents.remembering.asking import DATA_ONLY, Model, clipped, data_block

if TYPE_CHECKING:
    from aiosv3.agents.context import Context
    from aiosv3.agents.memory import MemorySteps
    from aiosv3.schemas.memory import MemoryQuery

_LONGEST_QUERY: Final = 300
_LONGEST_PASSAGE: Final = 600
"""Characters of one memory that the model is shown."""
_RANK: Final = 60
"""Reciprocal rank fusion: 1 / (60 + rank), as in Cormack, Clarke and Büttcher (SIGIR 2009)."""
_EXPAND: Final = (
    "Somebody looks for notes and old turns of conversations. You get the question. Write {most} other texts to search "
    "with, each in words that what answers it may have: synonyms, names of the things that are meant, a sentence as it "
    "may have been said. Do not answer the question.\n" + DATA_ONLY
)
_RERANK: Final = (
    "You get a question and numbered texts that a search has found. List the numbers of the texts that help to answer "
    "the question, the most helpful first. Leave out those that do not help.\n" + DATA_ONLY
)


class Queries(BaseModel):
    """What a model is asked for to expand a query; a test can script it."""

    queries: Annotated[list[str], Field(description="other texts to search with")]


class Ranks(BaseModel):
    """What a model is asked for to rerank what was found."""

    best_first: Annotated[list[int], Field(description="numbers of the texts that help, best first")]


def _soon() -> Model:
    return {"timeout": timedelta(seconds=10)}


@dataclass(frozen=True, slots=True)
class Expand:
    """``ctx.recall(query, expand=…)``: one model call for ``queries`` other texts to search with, beside the query.

    Without an answer in time (``model["timeout"]``), or for its money, the recall is the plain one.
    """

    queries: int = 3
    model: Model = field(default_factory=_soon)

    @classmethod
    def of(cls, asked: bool | Expand) -> Expand | None:
        """What ``recall`` was given."""
        return asked if isinstance(asked, Expand) else cls() if asked else None


@dataclass(frozen=True, slots=True)
class Rerank:
    """``ctx.recall(query, rerank=…)``: one model call that puts the best ``pool`` memories in order."""

    pool: int = 30
    model: Model = field(default_factory=_soon)

    @classmethod
    def of(cls, asked: bool | Rerank) -> Rerank | None:
        """What ``recall`` was given."""
        return asked if isinstance(asked, Rerank) else cls() if asked else None


Plain: TypeAlias = Callable[[str, int], Awaitable[Memories]]
"""A plain recall: of a query, so many."""


def searched(
    steps: MemorySteps,
    asked: MemoryQuery,
    recall: Callable[[MemoryQuery], Awaitable[Memories]],
    expand: bool | Expand,
    rerank: bool | Rerank,
) -> asyncio.Task[Memories]:
    """Begins the search for ``asked`` that a model helps with."""

    def plain(words: str, most: int) -> Awaitable[Memories]:
        return recall(replace(asked, content=words, k=most))

    ctx, query = cast("Context", steps), str(asked.content)
    found = search(ctx, query, asked.k, plain, Expand.of(expand), Rerank.of(rerank))
    return asyncio.get_running_loop().create_task(found)


async def search(
    ctx: Context, query: str, k: int, plain: Plain, expand: Expand | None, rerank: Rerank | None
) -> Memories:
    """The ``k`` best of a plain recall and of the expanded ones, reranked. Raises what the plain recall raises."""
    most = k if rerank is None else max(k, rerank.pool)
    if expand is None:
        found = await plain(query, most)
    else:  # the plain recall does not wait for the model
        first, others = await asyncio.gather(plain(query, most), _others(ctx, query, expand))
        more = await asyncio.gather(*(plain(other, most) for other in others or ()))
        found = _fused([first, *more], most)
        found.expanded = others is not None
        found.degraded = found.degraded or others is None
    if rerank is None or len(found) < 2:
        return _like(found, found[:k])
    order = await _ranked(ctx, query, found[: rerank.pool], rerank)
    best = _like(found, ([*found] if order is None else [*order, *found[rerank.pool :]])[:k])
    best.reranked = order is not None
    best.degraded = best.degraded or order is None
    return best


async def _others(ctx: Context, query: str, expand: Expand) -> list[str] | None:
    """Other queries; None where the model did not say any."""
    asked = _EXPAND.format(most=expand.queries)
    try:
        answer = await ctx.generate(
            data_block([{"question": query}]), system=asked, output_type=Queries, max_tokens=400, **expand.model
        )
    except TreeCancelled:
        raise
    except StepError:
        return None
    others = dict.fromkeys(clipped(other, _LONGEST_QUERY) for other in answer.queries)
    return [other for other in others if other and other != query][: expand.queries] or None


async def _ranked(ctx: Context, query: str, found: Sequence[Memory], rerank: Rerank) -> list[Memory] | None:
    """In the model's order, behind them what it left out, as it was; None where it said none."""
    texts = [{"text": number, "says": clipped(one.text, _LONGEST_PASSAGE)} for number, one in enumerate(found, 1)]
    try:
        answer = await ctx.generate(
            data_block([{"question": query}, *texts]),
            system=_RERANK,
            output_type=Ranks,
            max_tokens=8 * len(found) + 100,
            **rerank.model,
        )
    except TreeCancelled:
        raise
    except StepError:
        return None
    chosen = [number for number in dict.fromkeys(answer.best_first) if 1 <= number <= len(found)]
    if not chosen:
        return None
    rest = [number for number in range(1, len(found) + 1) if number not in set(chosen)]
    return [found[number - 1] for number in [*chosen, *rest]]


def _fused(answers: Sequence[Memories], most: int) -> Memories:
    """By their ranks; the query itself counts as much as all others together, and comes first where two are alike."""
    scores: dict[str, float] = {}
    memories: dict[str, Memory] = {}
    for number, answer in enumerate(answers):
        weight = 1.0 if number == 0 else 1.0 / (len(answers) - 1)
        for rank, one in enumerate(answer):
            scores[one.id] = scores.get(one.id, 0.0) + weight / (_RANK + rank)
            memories.setdefault(one.id, one)
    best = sorted(memories, key=lambda one: -scores[one])[:most]
    known = [answer.as_of for answer in answers]
    as_of = {place: min(one.get(place, 0) for one in known) for place in set().union(*known)}
    return Memories(
        [replace(memories[one], score=round(scores[one], 6)) for one in best],
        as_of=as_of,
        lag=max(answer.lag for answer in answers),
        degraded=any(answer.degraded for answer in answers),
    )


def _like(found: Memories, kept: Sequence[Memory]) -> Memories:
    some = Memories(kept, as_of=found.as_of, lag=found.lag, degraded=found.degraded)
    some.expanded, some.reranked = found.expanded, found.reranked
    return some
