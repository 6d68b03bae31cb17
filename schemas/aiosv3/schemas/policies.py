"""Records of ``policies``: what the router decides by, every version of it. Key: kind and version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.records import Symbol

POLICY_TYPE: Final = "aiosv3.policy"
"""``ce_type`` of a version."""


class PolicyKind(Symbol):
    """ROUTING: the rules by which requests are routed. POOLS: the table of pools that a router knows."""

    ROUTING = "ROUTING"
    POOLS = "POOLS"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version. ``content`` is JSON text with sorted keys, ``version`` the beginning of its SHA-256."""

    kind: PolicyKind
    version: str
    content: str
    updated: int
    by: str = ""

    @property
    def key(self) -> str:
        """Its key on ``policies``: a version is there once, where it was written last."""
        return f"{self.kind.value.lower()}/{self.version}"
