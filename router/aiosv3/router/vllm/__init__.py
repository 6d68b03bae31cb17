"""vLLM as a pool's own server: what it says of itself, and how it is started and kept running.

Importing this package loads no HTTP client and no vLLM: its modules do.
"""

from __future__ import annotations

from typing import Final

__all__: Final[list[str]] = []
