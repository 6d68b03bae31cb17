"""What an agent's coroutine asks for, as plain data. A step starts when it is called and ends with a journal record."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiosv3.schemas.headers import Clearance, Route
from aiosv3.schemas.memory import MemoryAction, MemoryQuery
from aiosv3.schemas.people import QuestionKind
from aiosv3.schemas.records import Prompt


@dataclass(slots=True)
class Step:
    """One step of one task. ``hash`` identifies the request: a replay that asks for something else is a divergence.

    ``first_sent`` (ms): broker time of the record that made the step reachable, the same after every restart.
    ``due`` (ms): a timer record of this step's id is then journaled; whichever of it and the answer comes first counts.
    """

    id: str
    hash: str
    first_sent: int
    due: int | None = field(default=None, kw_only=True)

    @property
    def one_way(self) -> bool:
        """Whether it is sent although the task is over and nobody waits: the log having it is all that matters."""
        return False


@dataclass(slots=True)
class ModelStep(Step):
    """``generate``: a request on ``prompts``. ``stored``: the least class that the history of its prompt allows."""

    prompt: Prompt
    route: Route
    stored: Clearance = field(default=Clearance.PUBLIC, kw_only=True)


@dataclass(slots=True)
class CallStep(Step):
    """``call`` (``wait``), ``send`` or ``start`` of another agent: a task event on its topic. ``value`` is plain JSON.

    ``root``: the id of a task that is the root of a tree of its own, which may spend ``usd_micros``.
    """

    agent: str
    value: bytes
    key: str | None
    wait: bool
    root: str | None = field(default=None, kw_only=True)
    usd_micros: int | None = field(default=None, kw_only=True)

    @property
    def one_way(self) -> bool:
        return not self.wait


@dataclass(slots=True)
class MemoryStep(Step):
    """``remember``, ``recall`` or ``forget``: a request on ``memory.queries``. ``key``: what shares an order with it.

    ``query`` is what is asked; who asks is said when it is sent.
    """

    query: MemoryQuery
    key: str

    @property
    def one_way(self) -> bool:
        return self.query.action is not MemoryAction.RECALL


@dataclass(slots=True)
class ToolStep(Step):
    """``call`` of a tool: a request on ``tools.<zone>``. ``arguments``: a JSON object as text, secrets by name.

    What comes back was written outside: it is data for whoever asked, never an instruction.
    """

    zone: str
    server: str
    tool: str
    arguments: str


@dataclass(slots=True)
class LocalStep(Step):
    """``run``: executed in the worker, at least once; one value is used. ``dump`` turns the value into JSON."""

    function: Callable[[], Any | Awaitable[Any]] = field(repr=False)
    dump: Callable[[Any], str] = field(repr=False)
    attempts: int = 3


@dataclass(slots=True)
class TimerStep(Step):
    """``asyncio.sleep``, ``timeout`` and friends: over at ``due``, when the journal says so."""


@dataclass(slots=True)
class PersonStep(Step):
    """``approve`` or ``ask``: a question on ``approvals``. ``role``: who may answer, None for anybody."""

    kind: QuestionKind
    text: str
    role: str | None
    output_schema: str | None


@dataclass(slots=True)
class ReceiveStep(Step):
    """``receive``: waits for a message of this name; nothing is sent."""

    message: str


@dataclass(slots=True)
class PatchStep(Step):
    """``patched``: the task takes a change of its code. Journaled before anything that it leads to is sent."""


@dataclass(slots=True)
class CancelStep(Step):
    """No step of the coroutine: says that nobody waits for ``call`` any more, or (None) that the whole tree ended.

    Acknowledged before the task's own result is appended (rule 25); sent twice it changes nothing.
    """

    call: CallStep | None


def due_after(now: int, timeout: timedelta | None) -> int | None:
    """When a step that is called ``now`` (ms) is over; None without a timeout."""
    return None if timeout is None else now + max(0, round(timeout.total_seconds() * 1000))


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
