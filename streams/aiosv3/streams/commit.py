"""What a commit says: ``base offset`` + ``version|epoch|T|Bbase|completed set`` in its metadata (protocol section 2).

The completed set is written as runs above the base: ``gap, length, gap, length, …``, each number in base 32, lowest
digits first, one character a digit, the sixth bit saying that more digits follow. A thousand finished offsets with
single holes take about two thousand characters; Kafka keeps up to 4,095.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from aiosv3.streams.errors import NewerCommit
from aiosv3.streams.log import Committed

VERSION: Final = 1
METADATA_LIMIT: Final = 4095
"""Characters that a broker keeps: 4,096 is refused although ``offset.metadata.max.bytes`` says 4096."""

_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUE: Final = {digit: value for value, digit in enumerate(_DIGITS)}


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable statement about a partition.

    ``base``: every input below it is finished. ``completed``: finished inputs above it, ascending. ``own`` (T) and
    ``journal`` (Bbase): where a restore begins to read the own log and the journal; ``journal`` is -1 without one.
    ``epoch``: offset of the writer's ownership marker.
    """

    base: int
    epoch: int = -1
    own: int = 0
    journal: int = -1
    completed: tuple[int, ...] = ()

    def encode(self) -> Committed:
        """The commit as Kafka keeps it. :func:`fitting` makes sure beforehand that the set is short enough."""
        head = f"{VERSION}|{self.epoch}|{self.own}|{self.journal}|"
        return Committed(self.base, head + encode_set(self.base, self.completed))

    @classmethod
    def decode(cls, committed: Committed) -> Commit | None:
        """None when the metadata is not ours (an operator reset the offsets): the logs are then read from their start.

        Raises :class:`NewerCommit` for a version above :data:`VERSION`: what it means is unknown here.
        """
        version, _, rest = committed.metadata.partition("|")
        if not version.isdecimal():
            return None
        if int(version) > VERSION:
            raise NewerCommit(
                f"the last commit has layout {version}, this worker knows up to {VERSION}: "
                "update this worker, or let the newer ones drain the partition"
            )
        try:
            epoch, own, journal, completed = rest.split("|")
            return cls(
                committed.offset,
                int(epoch),
                int(own),
                int(journal),
                tuple(decode_set(committed.offset, completed)),
            )
        except (ValueError, KeyError):
            return None


def _number(value: int) -> str:
    digits = []
    while value >= 32:
        digits.append(_DIGITS[32 | (value & 31)])
        value >>= 5
    digits.append(_DIGITS[value])
    return "".join(digits)


def _runs(base: int, offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """``(gap, length)`` pairs of ascending offsets above ``base``."""
    end = base
    first = last = -1
    for offset in offsets:
        if offset == last + 1 and first >= 0:
            last = offset
            continue
        if first >= 0:
            yield first - end, last + 1 - first
            end = last + 1
        first = last = offset
    if first >= 0:
        yield first - end, last + 1 - first


def encode_set(base: int, offsets: Iterable[int]) -> str:
    """``offsets`` (ascending, above ``base``) as text."""
    return "".join(_number(gap) + _number(length) for gap, length in _runs(base, offsets))


def decode_set(base: int, text: str) -> Iterator[int]:
    """The offsets again; raises KeyError or ValueError for text that :func:`encode_set` cannot have written."""
    numbers: list[int] = []
    value = shift = 0
    for digit in text:
        bits = _VALUE[digit]
        value |= (bits & 31) << shift
        shift += 5
        if bits < 32:
            numbers.append(value)
            value = shift = 0
    if shift or len(numbers) % 2:
        raise ValueError("cut in the middle of a number or a pair")
    at = base
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        yield from range(at + gap, at + gap + length)
        at += gap + length


def fitting(base: int, offsets: Iterable[int], room: int) -> tuple[int, ...]:
    """The lowest of ``offsets`` whose text takes at most ``room`` characters (protocol rule 8)."""
    kept: list[int] = []
    end = base
    for gap, length in _runs(base, offsets):
        room -= len(_number(gap)) + len(_number(length))
        if room < 0:
            break
        kept.extend(range(end + gap, end + gap + length))
        end += gap + length
    return tuple(kept)
