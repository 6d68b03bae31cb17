"""Embedders: vectors for texts (``port`` is their contract)."""

from aiosv3.memory.embedders.absent import NoEmbedder
from aiosv3.memory.embedders.errors import EmbedderUnavailable, EmbedderUnusable, ModelFilesMissing
from aiosv3.memory.embedders.hashing import HashEmbedder
from aiosv3.memory.embedders.local import LocalEmbedder
from aiosv3.memory.embedders.port import Embedder
from aiosv3.memory.embedders.remote import RemoteEmbedder, RemoteModel

__all__ = [
    "Embedder",
    "EmbedderUnavailable",
    "EmbedderUnusable",
    "HashEmbedder",
    "LocalEmbedder",
    "ModelFilesMissing",
    "NoEmbedder",
    "RemoteEmbedder",
    "RemoteModel",
]
