"""The embedded view: words (BM25, stemmed) and vectors in numpy, in this process."""

from aiosv3.memory.views.embedded.ranking import DEFAULT, Nearness, Ranking
from aiosv3.memory.views.embedded.view import EmbeddedView

__all__ = ["DEFAULT", "EmbeddedView", "Nearness", "Ranking"]
