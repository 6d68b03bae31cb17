"""What a task's run knows of sealing, so that a replay comes to the same: decided when it starts, and journaled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.steps import ModelStep, Step
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import JournalKind, JournalRecord
from aiosv3.schemas.sealing import BLOCK, seal_same


class Sealing:
    """Of one run. ``secret``: that of the mesh.

    ``since``: the class from which on content of the task is sealed; None: nothing is. A task that began before sealing
    was on, or with another class, goes on as it began: ``started`` in its journal says how.
    """

    def __init__(self, task: Task, secret: bytes) -> None:
        self.since = task.keys.since
        self._task = task
        self._secret = secret

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """Before the run starts: the journal that it will be fed."""
        for entry in entries:
            if entry.record.kind is JournalKind.STARTED:
                self.since = None if entry.record.seals is None else Clearance.parse(entry.record.seals)
                return

    def mark(self, step: Step) -> None:
        """Where content is sealed the hash of a request is keyed: nobody can guess a short text by it."""
        if self.since is not None and step.hash:
            key = hashlib.blake2b(self._secret, digest_size=32, person=b"aiosv3 request").digest()
            step.hash = hashlib.blake2b(step.hash.encode(), digest_size=8, key=key).hexdigest()
            if isinstance(step, ModelStep):
                step.route = replace(step.route, hash=step.hash)

    def block(self, raw: bytes, clearance: Clearance) -> bytes:
        """A block of a conversation as it is stored: the same bytes each time, since its hash is its name.

        Raises :class:`~aiosv3.schemas.sealing.NoKey` where it would have to be sealed, and there is no key.
        """
        if self.since is None or clearance < self.since:
            return raw
        key = self._task.keys.keys.get(clearance) or self._task.keys.key(clearance)
        return raw if key is None else seal_same(key, BLOCK, "", raw)

    def misfit(self, record: JournalRecord, step: Step) -> str | None:
        """Why ``record`` cannot answer ``step``, which it is for; None where it can."""
        if record.request_hash is not None and record.request_hash != step.hash:
            return f"step {step.id} asks for something else than it did when the journal was written"
        if record.claim is not None:
            return f"the answer of step {step.id} is not in the claim store of this worker: {record.claim}"
        if isinstance(record.content, bytes):
            return f"the answer of step {step.id} is sealed with key {record.content_key_id}, which is not here"
        return None
