"""What can be wrong with a server of one's own. Importing this loads no HTTP client."""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class ServerFailed(AiosError):
    """``vllm serve`` did not come up; holds what it said last."""
