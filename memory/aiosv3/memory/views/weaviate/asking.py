"""A query of the port as Weaviate is asked it: conditions, words and vector in one request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Any, Final

from weaviate.classes.query import Filter, HybridFusion, MetadataQuery, Sort
from weaviate.collections.classes.filters import FilterReturn
from weaviate.collections.classes.internal import Object
from weaviate.collections.collection import CollectionAsync

from aiosv3.memory.views.embedded.analysis import terms
from aiosv3.memory.views.embedded.ranking import DEFAULT
from aiosv3.memory.views.port import Parts, Query
from aiosv3.memory.views.weaviate.objects import key, vector_name

_ALPHA: Final = DEFAULT.dense / (DEFAULT.dense + DEFAULT.lexical)
_SLACK: Final = 16
"""More than is asked for: equal scores are ordered by id here, and of a memory that is being replaced there are two."""
_CHOSEN_FROM: Final = 5
_MOST_TERMS: Final = 64
_EXPLAINED: Final = re.compile(r"Result Set (keyword|vector).*?normalized score: ([-+.\de]+)")


def conditions(query: Query, now: int) -> FilterReturn:
    """What every hit meets; the query has scopes, and what else it names is not empty."""
    by = Filter.by_property
    met: list[FilterReturn] = [
        by("scope").contains_any(_keys(query.scopes)),
        by("expires_at").greater_than(now),
        by("trust").greater_or_equal(query.min_trust),
    ]
    for name, names in (("kind", query.kinds), ("source", query.sources)):
        if names is not None:
            met.append(by(name).contains_any(_keys(names)))
    if query.without_sources:
        met.append(by("source").contains_none(_keys(query.without_sources)))
    if query.subject is not None:
        met.append(by("subject").equal(key(query.subject)))
    if query.since is not None:
        met.append(by("valid_to").greater_than(query.since))
    if query.until is not None:
        met.append(by("valid_from").less_than(query.until))
    if query.at is not None:
        met += [by("valid_from").less_or_equal(query.at), by("valid_to").greater_than(query.at)]
    if query.positions is not None:
        first, last = query.positions
        met += [by("position").greater_or_equal(first), by("position").less_or_equal(last)]
    return reduce(and_, met)


def answers_nothing(query: Query) -> bool:
    """Whether nothing can meet the conditions."""
    named = (query.kinds, query.sources)
    return not query.scopes or query.k <= 0 or any(names is not None and not names for names in named)


async def found(
    collection: CollectionAsync[Any, None], query: Query, now: int, *, dense: bool
) -> Sequence[Object[Any, None]]:
    """Objects that meet the conditions, best first, more than asked for. ``dense``: the vector can be compared."""
    wanted = query.k * (_CHOSEN_FROM if query.diversity > 0 else 1) + _SLACK
    common: dict[str, Any] = {
        "filters": conditions(query, now),
        "limit": wanted,
        "return_properties": ["body"],
        "return_metadata": MetadataQuery(score=True, distance=True, explain_score=dense),
    }
    words = " ".join(terms(query.text)[:_MOST_TERMS])
    index = vector_name(query.embedder)
    vector = query.vector.tolist() if query.vector is not None and dense else None
    if query.diversity > 0 and vector is not None:
        common["include_vector"] = [index]
    ask = collection.query
    answer: Any
    if query.scans():
        order = Sort.by_property("valid_from", ascending=False).by_property("position", ascending=False)
        answer = await ask.fetch_objects(sort=order, **common)
    elif vector is None:
        if not words:
            return []
        answer = await ask.bm25(words, query_properties=["terms"], **common)
    elif not words:
        answer = await ask.near_vector(vector, target_vector=index, **common)
    else:
        answer = await ask.hybrid(
            words,
            vector=vector,
            target_vector=index,
            alpha=_ALPHA,
            query_properties=["terms"],
            fusion_type=HybridFusion.RELATIVE_SCORE,
            **common,
        )
    hits: Sequence[Object[Any, None]] = answer.objects
    return hits


def score_of(one: Object[Any, None]) -> tuple[float, Parts]:
    """The score of an object that was found, and what it is made of."""
    told = one.metadata
    if told.explain_score and (parts := dict(_EXPLAINED.findall(told.explain_score))):
        lexical, dense = float(parts.get("keyword", 0)), float(parts.get("vector", 0))
        return lexical + dense, Parts(lexical=lexical, dense=dense)
    if told.distance is not None:
        near = max(1 - told.distance, 0.0)
        return near, Parts(dense=near)
    score = told.score or 0.0
    return score, Parts(lexical=score)


def _keys(names: Any) -> list[str]:
    return sorted(set(map(key, names)))
