"""Errors of embedders; see ``aiosv3.schemas.errors`` for the root.

AiosError
├── EmbedderUnavailable    no answer, or an answer that another try may better
│   └── ModelFilesMissing       the local model's files are not on this machine and could not be fetched
└── EmbedderUnusable       refused, or an answer that is no vectors: see the settings
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class EmbedderUnavailable(AiosError):
    """No vectors now. Memories are found by their words until there are some."""


class ModelFilesMissing(EmbedderUnavailable):
    """The local model is not on this machine, and no package index gave it."""


class EmbedderUnusable(AiosError):
    """What answers is no embedder, or not the one that is named."""
