"""What an agent's coroutine asks for, as plain data. A step starts when it is called and ends with a journal record."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiosv3.schemas.headers import Route
from aiosv3.schemas.records import Prompt


@dataclass(slots=True)
class Step:
    """One step of one task. ``hash`` identifies the request: a replay that asks for something else is a divergence.

    ``first_sent`` (ms): broker time of the record that made the step reachable, the same after every restart.
    """

    id: str
    hash: str
    first_sent: int


@dataclass(slots=True)
class ModelStep(Step):
    """``generate``: a request on ``prompts``."""

    prompt: Prompt
    route: Route


@dataclass(slots=True)
class CallStep(Step):
    """``call`` (``wait``) or ``send`` of another agent: a task event on its topic. ``value`` is plain JSON."""

    agent: str
    value: bytes
    key: str | None
    wait: bool


@dataclass(slots=True)
class LocalStep(Step):
    """``run``: executed in the worker, at least once; one value is used. ``dump`` turns the value into JSON."""

    function: Callable[[], Any | Awaitable[Any]] = field(repr=False)
    dump: Callable[[Any], str] = field(repr=False)
    attempts: int = 3


@dataclass(slots=True)
class TimerStep(Step):
    """``asyncio.sleep``, ``timeout`` and friends: due at ``due`` (ms), fired by a journal record."""

    due: int


def request_hash(*parts: bytes | str) -> str:
    """16 hex digits over the parts of a request (BLAKE2b, 64 bit: to notice changed code, not to resist forgery)."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.hexdigest()


def reply_token(secret: bytes, task_id: str, step_id: str, hashed: str) -> str:
    """What an answer must echo to be accepted: keyed with the mesh's secret, the same after every restart."""
    key = hashlib.blake2b(secret, digest_size=32).digest()
    return hashlib.blake2b(f"{task_id}\0{step_id}\0{hashed}".encode(), digest_size=8, key=key).hexdigest()
