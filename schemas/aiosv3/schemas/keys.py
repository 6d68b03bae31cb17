"""Records of ``keys``: data keys, each wrapped by a master key of its class. Key: the data key's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.records import Symbol

KEY_TYPE: Final = "aiosv3.key"
"""``ce_type`` of a key's record."""


class KeyKind(Symbol):
    """DATA: seals and opens. RETIRED: only opens. SHREDDED: gone for good, and its id is never used again."""

    DATA = "DATA"
    RETIRED = "RETIRED"
    SHREDDED = "SHREDDED"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One data key. ``tenant`` and ``subject`` are keyed hashes; ``master`` names the master key that wraps it."""

    key_id: str
    kind: KeyKind
    tenant: str
    subject: str | None
    clearance: str
    updated: int
    master: str | None = None
    wrapped: bytes | None = None
