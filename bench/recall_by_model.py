"""What a model adds to finding: recall of evidence, plain, with other words for the query, and reranked.

``python -m bench.recall_by_model --data DIR [--questions 60] [--base-url URL --model NAME]``: conversations with
questions as ``aiosv3 memory eval`` reads them, so many of their questions, evenly taken. Without a URL the model is the
local one, which is very small: it says what a model must be better than. ``helped``: the share of questions for which
the model said anything usable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from aiosv3.agents import Memories, Memory, ModelRefused
from aiosv3.agents.context import Context
from aiosv3.agents.decoding import adapter_of
from aiosv3.agents.prompting import prompt_of
from aiosv3.agents.remembering import Expand, Rerank
from aiosv3.agents.remembering.searching import search
from aiosv3.memory.evaluate import Question, Retriever, datasets, retriever
from aiosv3.memory.evaluate.measures import recall
from aiosv3.router.endpoints import Call, Endpoint, Place, open_endpoint
from aiosv3.schemas.errors import AiosError

_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_K: Final = 10
_TIMEOUT_S: Final = 300.0
Row: TypeAlias = tuple[float, float, bool]
WAYS: Final[dict[str, tuple[Expand | None, Rerank | None]]] = {
    "plain": (None, None),
    "expand": (Expand(model={}), None),
    "rerank": (None, Rerank(pool=20, model={})),
}


class Asking:
    """As much of a context as a search needs: ``generate``, at once and for nothing."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint = endpoint
        self._model = model

    async def generate(self, prompt: str, *, system: str, output_type: Any, max_tokens: int) -> Any:
        """The answer of the model. Raises ModelRefused for whatever is none."""
        body = prompt_of(prompt, system, output_type, max_tokens, 0.0)
        try:
            done = await self._endpoint.complete(Call(body, self._model, f"{time.time_ns()}", _TIMEOUT_S))
            return adapter_of(output_type).validate_json(done.text)
        except (AiosError, ValueError) as error:
            raise ModelRefused(str(error)) from None


def some(questions: Sequence[Question], count: int) -> list[Question]:
    """So many of them, evenly taken."""
    step = max(len(questions) / max(count, 1), 1.0)
    return [questions[int(place * step)] for place in range(min(count, len(questions)))]


async def measure(data: Path, count: int, asking: Asking) -> dict[str, dict[str, float]]:
    """By way: recall@10, seconds for each question, and the share of questions for which the model helped."""
    finding = retriever()
    found: dict[str, list[Row]] = {way: [] for way in WAYS}
    try:
        for dataset in datasets(data):
            if dataset.measure == "recall":
                await asyncio.to_thread(finding.index, [dict(document) for document in dataset.documents])
                texts = {(str(one["scope"]), str(one["id"])): str(one["text"]) for one in dataset.documents}
                for question in some([one for group in dataset.groups for one in group], count):
                    for way in WAYS:
                        found[way].append(await answered(question, way, finding, texts, asking))
    finally:
        finding.close()
    return {way: _mean(rows) for way, rows in found.items()}


async def answered(
    question: Question, way: str, finding: Retriever, texts: Mapping[tuple[str, str], str], asking: Asking
) -> Row:
    """Of one question: recall@10, seconds, and whether the model helped."""

    async def plain(words: str, k: int) -> Memories:
        ids = await asyncio.to_thread(finding.search, words, question.scope, k)
        return Memories([_memory(one, texts[question.scope, one]) for one in ids])

    began = time.perf_counter()
    answer = await search(cast("Context", asking), question.text, _K, plain, *WAYS[way])
    took = time.perf_counter() - began
    return recall([one.id for one in answer], question.relevant, _K), took, answer.expanded or answer.reranked


def _mean(rows: Sequence[Row]) -> dict[str, float]:
    names = ("recall@10", "seconds", "helped")
    means = (sum(row[place] for row in rows) / max(len(rows), 1) for place in range(3))
    return {"questions": len(rows), **{name: round(mean, 3) for name, mean in zip(names, means, strict=True)}}


def _memory(name: str, text: str) -> Memory:
    return Memory(name, 0, text, "episode", "", "", _NOW, _NOW, 0, 0)


async def main() -> None:
    """Prints one JSON object for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="SmolLM2-135M-Instruct")
    given = parser.parse_args()
    endpoint = open_endpoint("openai" if given.base_url else "local", Place(base_url=given.base_url))
    try:
        for way, row in (await measure(given.data, given.questions, Asking(endpoint, given.model))).items():
            print(json.dumps({"way": way, "model": given.model, **row}))
    finally:
        await endpoint.aclose()


if __name__ == "__main__":
    asyncio.run(main())
