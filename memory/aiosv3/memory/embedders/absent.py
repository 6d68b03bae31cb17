"""No embedder: memories are found by their words alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiosv3.memory.embedders.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector


class NoEmbedder:
    """Implements ``Embedder`` by saying that there is none."""

    @property
    def name(self) -> str:
        """See ``Embedder``."""
        return "none"

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """Raises ``EmbedderUnavailable``."""
        raise EmbedderUnavailable("no embedder was asked for")

    async def close(self) -> None:
        """See ``Embedder``."""
