"""The idempotency key of a call, on its way through the SDK to an HTTP header."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

KEY_HEADER: Final = "Idempotency-Key"
KEY_META: Final = "aiosv3/idempotency-key"
"""Its place in ``_meta`` of a request."""
step_key: Final[ContextVar[str]] = ContextVar("step_key", default="")
"""Set around a call: the SDK carries the context of whoever sends a message along to the request that sends it."""
