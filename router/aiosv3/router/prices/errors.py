"""What can be wrong with a price table."""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class BadPrices(AiosError):
    """A price table is not as its schema wants it; says where, and what is wrong."""
