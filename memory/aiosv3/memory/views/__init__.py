"""Memory views: caches of the memory log that find memories (``port`` is their contract)."""

from aiosv3.memory.views.errors import VectorUnusable, ViewUnavailable
from aiosv3.memory.views.port import (
    QUARANTINED,
    TENANT_SCOPE,
    Change,
    Digest,
    Entry,
    Hit,
    PartialHits,
    Parts,
    Put,
    Query,
    Remove,
    View,
)

__all__ = [
    "QUARANTINED",
    "TENANT_SCOPE",
    "Change",
    "Digest",
    "Entry",
    "Hit",
    "PartialHits",
    "Parts",
    "Put",
    "Query",
    "Remove",
    "VectorUnusable",
    "View",
    "ViewUnavailable",
]
