"""An answer shown while it is written: pieces of text, gathered into a few records a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiosv3.router.endpoints.reading import well_formed
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.sealing import DataKey
from aiosv3.streams.deltas import DeltaSender, sealed_delta

EVERY_S: Final = 0.05
"""Seconds between two records of a call: what is written meanwhile goes together."""
_LONGEST: Final = 16_384
"""Characters of one record."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The call that is shown, and to whom: what its deltas have in common."""

    root_id: str
    task_id: str
    agent: str
    step_id: str
    attempt: int
    epoch: int
    partition: int
    key: str
    source: bytes
    traceparent: bytes = b""
    seal_with: DataKey | None = field(default=None, repr=False)
    """What the text is sealed with."""


class TokenStream:
    """One call of the model. :meth:`say` each piece, then :meth:`end`, or :meth:`stop` where there is no answer.

    The first piece goes out at once. To be used on the event loop; never raises.
    """

    def __init__(self, sender: DeltaSender, shown: Shown, loop: asyncio.AbstractEventLoop) -> None:
        self._sender = sender
        self._shown = shown
        self._loop = loop
        self._pieces: list[str] = []
        self._sequence = 0
        self._free_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def say(self, text: str) -> None:
        """The next piece of the answer."""
        if self._over or not text:
            return
        self._pieces.append(text)
        if self._timer is None:
            wait = self._free_at - self._loop.time()
            if wait <= 0:
                self._flush()
            else:
                self._timer = self._loop.call_later(wait, self._flush)

    def end(self) -> None:
        """The answer is complete."""
        if not self._over:
            self._flush(last=True)
            self._send(DeltaKind.END, None)
            self.stop()

    def stop(self) -> None:
        """Nothing more is sent. What was shown is void once the step is attempted again, or fails."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self, *, last: bool = False) -> None:
        self._timer = None
        text, rest = _carried("".join(self._pieces), last=last)
        self._pieces = [rest] if rest else []
        for start in range(0, len(text), _LONGEST):
            self._send(DeltaKind.TOKEN, text[start : start + _LONGEST])
        if text:
            self._free_at = self._loop.time() + EVERY_S

    def _send(self, kind: DeltaKind, text: str | None) -> None:
        shown = self._shown
        delta = Delta(
            root_id=shown.root_id,
            task_id=shown.task_id,
            agent=shown.agent,
            step_id=shown.step_id,
            attempt=shown.attempt,
            epoch=shown.epoch,
            sequence=self._sequence,
            kind=kind,
            content=text,
        )
        self._sequence += 1
        delta = sealed_delta(delta, shown.seal_with)
        self._sender.send(delta, shown.partition, shown.key, shown.source, shown.traceparent)


def _carried(text: str, *, last: bool) -> tuple[str, str]:
    """``(what UTF-8 carries, what has to wait)``: half of a character whose other half comes with the next piece."""
    rest = "" if last or not "\ud800" <= text[-1:] <= "\udbff" else text[-1:]
    whole = text[: len(text) - len(rest)]
    return well_formed(whole), rest
