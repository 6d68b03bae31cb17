"""What an own-log record makes besides its forward: a settlement, say, for whoever reserved the money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from aiosv3.schemas.errors import WireError
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Outgoing, Record

if TYPE_CHECKING:
    from aiosv3.streams.tenure import Tenure

Beside: TypeAlias = Callable[[Outgoing | Record], Sequence[Outgoing]]
"""Made from the record alone, as the forward is, and sent again whenever that is: readers know it by its id."""

Burial: TypeAlias = Callable[[Record], Sequence[Outgoing]]
"""Made from an input that has become a dead letter without an answer on the own log."""

_LOOK_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)


class Sending:
    """What one answer sends; ``then`` is called when the log has the last of it."""

    __slots__ = ("_left", "_then")

    def __init__(self, left: int, then: Callable[[], object]) -> None:
        self._left = left
        self._then = then

    def sent(self) -> None:
        """The log has one more of it."""
        self._left -= 1
        if not self._left:
            self._then()


class Besides:
    """Sends it for records that are *found* on the own log. ``make`` None: there is nothing to send.

    One that came second is forwarded by nobody, and its writer may be gone: whoever reads it sends what it makes.
    Behind all that a tenure knows it has a look at intervals, as nothing else would lead it there.
    """

    def __init__(self, tenure: Tenure, make: Beside | None) -> None:
        self._tenure = tenure
        self._make = make
        self._learned = 0
        self._owed: set[int] = set()

    def of(self, *answers: Outgoing | Record | None) -> list[Outgoing]:
        """What these answers make."""
        if self._make is None:
            return []
        return [made for answer in answers if answer is not None for made in self._make(answer)]

    def found(self, record: Record) -> None:
        """An answer was read on the own log, for the first time if it lies above all that was read before."""
        if self._make is None or record.offset < self._learned:
            return
        self._learned = record.offset + 1
        try:
            made = self._make(record)
        except (WireError, UnresolvedSchema) as error:
            _LOG.warning("%s[%s]@%s cannot be read: %s", record.topic, record.partition, record.offset, error)
            return
        if made:
            self._owed.add(record.offset)
            sending = Sending(len(made), partial(self._owed.discard, record.offset))
            for outgoing in made:
                self.send(outgoing, sending)

    def floor(self, floor: int) -> int:
        """The own-log position that a restore has to read from: what is on its way may not arrive."""
        return min(floor, *self._owed) if self._owed else floor

    def watch(self) -> None:
        """Begins to look."""
        if self._make is not None:
            asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        if self._open():
            self._tenure.own.look()
            self.watch()

    def _open(self) -> bool:
        return self._tenure.phase.value != "stopped"

    def send(self, outgoing: Outgoing, sending: Sending) -> None:
        """Appends it; again where it is not known whether the log has it."""
        if self._open():
            self._tenure.wiring.log.append(outgoing, partial(self._sent, outgoing, sending))

    def _sent(self, outgoing: Outgoing, sending: Sending, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, AppendUnknown):
            self.send(outgoing, sending)
            return
        if isinstance(ack, AppendFailed):
            _LOG.error("%s: not appended to %s: %s", self._tenure.wiring.name, outgoing.topic, ack)
        sending.sent()
