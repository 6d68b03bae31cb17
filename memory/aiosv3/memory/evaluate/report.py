"""How well data sets are searched: with the default configuration, and with one thing of it left out at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiosv3.memory.embedders import Embedder, LocalEmbedder
from aiosv3.memory.evaluate.datasets import Dataset, Question
from aiosv3.memory.evaluate.measures import Estimate, estimate, ndcg, recall
from aiosv3.memory.evaluate.retriever import Retriever, retriever
from aiosv3.memory.views.embedded import DEFAULT, Nearness, Ranking

K: Final = 10

_ALONE: Final = Nearness((), ())
VARIANTS: Final[Mapping[str, Ranking]] = {
    "default": DEFAULT,
    "words alone": replace(DEFAULT, dense=0.0),
    "meaning alone": replace(DEFAULT, lexical=0.0),
    "no neighbours": replace(DEFAULT, words_near=_ALONE, meaning_near=_ALONE, source=0.0),
    "no speakers, no dates": replace(DEFAULT, speaker=0.0, date=0.0),
    "plain BM25": replace(
        DEFAULT, dense=0.0, words_near=_ALONE, meaning_near=_ALONE, source=0.0, speaker=0.0, date=0.0
    ),
}
"""Name → weights. All but the first leave something out: what it is worth is the difference."""


@dataclass(frozen=True, slots=True)
class Row:
    """One data set searched in one way. ``groups``: the mean of each group of questions."""

    dataset: str
    variant: str
    measure: str
    estimate: Estimate
    groups: Sequence[float]


def evaluate(
    data: Sequence[Dataset],
    variants: Mapping[str, Ranking] = VARIANTS,
    embedder: Callable[[], Embedder] = LocalEmbedder,
) -> Iterator[Row]:
    """A row for each data set and variant, as each is done. Blocks: texts are embedded once, then searched often."""
    for dataset in data:
        searched = retriever(embedder=embedder())
        searched.index([dict(document) for document in dataset.documents])
        for name, ranking in variants.items():
            yield _row(dataset, name, searched.ranked(ranking))
        searched.close()


def _row(dataset: Dataset, variant: str, searched: Retriever) -> Row:
    score = _SCORES[dataset.measure]
    groups = [[score(searched.search(each.text, each.scope, K), each) for each in group] for group in dataset.groups]
    means = [sum(group) / len(group) for group in groups if group]
    return Row(dataset.name, variant, f"{dataset.measure}@{K}", estimate(groups), means)


_SCORES: Final[Mapping[str, Callable[[Sequence[str], Question], float]]] = {
    "recall": lambda found, question: recall(found, question.relevant, K),
    "ndcg": lambda found, question: ndcg(found, question.relevant, K),
}
