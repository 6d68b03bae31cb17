"""Zones and servers as their settings describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiosv3.schemas.headers import Clearance


@dataclass(frozen=True, slots=True)
class Zone:
    """A trust zone: what its servers may see, and how much its workers take from them.

    An answer over ``max_bytes`` of JSON goes to the claim store, with ``preview`` characters of it on the log; one over
    ``hard_bytes`` is cut off while it is read, and its step fails.
    """

    name: str
    clearance: Clearance = Clearance.PUBLIC
    max_bytes: int = 256 * 1024
    hard_bytes: int = 16 * 1024 * 1024
    preview: int = 1_000


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """How one server is called. ``timeout``: seconds a call may take, tries and waiting for room included.

    ``retry`` None: what the server declares repeatable is tried again, nothing else; True: everything; False: nothing.
    ``concurrency``: calls at once in one process.
    """

    timeout: float = 60.0
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """By tool, where it is another."""
    retry: bool | None = None
    tries: int = 3
    backoff: float = 0.5
    concurrency: int = 8
