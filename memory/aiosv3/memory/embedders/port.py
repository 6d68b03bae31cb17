"""The embedder port: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector


class Embedder(Protocol):
    """Makes vectors; texts of like meaning get vectors of a like direction."""

    @property
    def name(self) -> str:
        """Changes whenever its vectors can no longer be compared with earlier ones: model, version, prefixes."""
        ...

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """One vector of length one a text, in order. ``query``: the texts are looked for, not kept.

        Never blocks the event loop. Raises ``EmbedderUnavailable`` where trying again may help, ``EmbedderUnusable``
        where it will not.
        """
        ...

    async def close(self) -> None:
        """Lets go of threads and connections. Safe to call twice."""
        ...
