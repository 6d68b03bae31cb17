"""Dead letters read back, and sent back to where they came from.

A letter keeps the original's key, bytes and headers; ours and Spring's ``kafka_dlt-…`` say the rest. To be done again
it needs a new id, because its own has a failed result already: ``ID.redrive-N``, with header ``aios-redrives: N``. N
counts all redrives of ID, so it follows from the log: whoever does the same redrive again, after a crash or beside
somebody else, sends the same id to the same partition, and the second copy is answered from the first. A mark on the
dead letters' own topic, beside the letter, says that it was done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.answers import JSON, event
from aiosv3.streams.deadletters import PREFIX
from aiosv3.streams.log import Headers, Outgoing, Record

REDRIVES: Final = "aios-redrives"
"""Header of a redriven record: how many times its original was redriven, this time included."""
REDRIVEN: Final = "aios-redriven"
"""Header of a mark: the letter that was redriven, as ``partition@offset``."""
MARK_TYPE: Final = b"aiosv3.redriven"
_SUFFIX: Final = re.compile(r"\.redrive-(\d{1,9})\Z")
_PLACE: Final = re.compile(r"(\d{1,9})@(\d{1,18})")


class NotALetter(AiosError):
    """A record of the dead letters' topic that does not say where it came from."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter lies in the topic of dead letters. Text form ``partition@offset``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """Reads the text form; None for what has another."""
        found = _PLACE.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. ``topic``, ``partition``, ``offset`` and ``timestamp`` (ms) are the original's.

    ``id``: the original's, or one made of its place, as admission names a record without one. ``value`` is None where
    the original had none, and where it did not fit into the topic of dead letters. ``base``: what all redrives of one
    original have in common.
    """

    place: Place
    died_at: int
    topic: str
    partition: int
    offset: int
    timestamp: int | None
    processor: str
    error: str
    message: str
    id: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(repr=False)

    @property
    def base(self) -> str:
        """The id without what redrives have added to it."""
        return _SUFFIX.sub("", self.id)

    @property
    def redrives(self) -> int:
        """How many times its original had been redriven when it died."""
        found = _SUFFIX.search(self.id)
        return int(found[1]) if found is not None else 0

    @property
    def origin(self) -> tuple[str, int, int]:
        """Where the original is. Letters of one origin are copies: a worker died between the letter and the rest."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True)
class Mark:
    """Says that the letter at ``place`` was redriven as task or request ``id``. ``at``: ms."""

    place: Place
    id: str
    number: int
    by: str
    at: int

    @property
    def base(self) -> str:
        """As :attr:`Letter.base`."""
        return _SUFFIX.sub("", self.id)


def read_letter(record: Record) -> Letter | Mark:
    """A record of the topic of dead letters. Raises :class:`NotALetter`."""
    marked = record.header(REDRIVEN)
    if marked is not None:
        return _mark(record, marked)
    added = {name.removeprefix(PREFIX): value for name, value in record.headers if name.startswith(PREFIX)}
    try:
        topic, partition = _text(added["original-topic"]), _number(added["original-partition"])
        offset = _number(added["original-offset"])
    except (KeyError, ValueError):
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        raise NotALetter(f"{place} does not say where it came from: it is no dead letter") from None
    return Letter(
        place=Place(record.partition, record.offset),
        died_at=record.timestamp,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=_number(added["original-timestamp"]) if "original-timestamp" in added else None,
        processor=_text(added.get("original-consumer-group", b"")),
        error=_text(added.get("exception-fqcn", b"")).rpartition(".")[2],
        message=_text(added.get("exception-message", b"")),
        id=_id(record, topic, partition, offset),
        key=record.key,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if not name.startswith(PREFIX)],
    )


def _id(record: Record, topic: str, partition: int, offset: int) -> str:
    try:
        given = (record.header(names.CE_ID) or b"").decode()
    except UnicodeDecodeError:
        given = ""
    return given or f"{topic.rpartition('.')[2]}-{partition}-{offset}"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _number(raw: bytes) -> int:
    """Ours are digits; Spring's own are big-endian binary, of 4 bytes for partitions and 8 for the rest."""
    if raw.isdigit():
        return int(raw)
    if len(raw) in {4, 8}:
        return int.from_bytes(raw, "big", signed=True)
    raise ValueError("neither digits nor a binary number")


def _mark(record: Record, marked: bytes) -> Mark:
    place = Place.parse(_text(marked))
    if place is None:
        raise NotALetter(f"header {REDRIVEN} is no place of a letter: {marked[:40]!r}")
    try:
        said = json.loads(record.value or b"")
        return Mark(place, str(said["id"]), int(said["redrive"]), str(said["by"]), record.timestamp)
    except (ValueError, KeyError, TypeError):
        raise NotALetter(f"the mark for letter {place} cannot be read") from None


class Letters:
    """The letters of a topic, and what was redriven of them.

    ``named``: gives letters the id by which they were known, where that is not in a header.
    """

    def __init__(self, named: Callable[[Letter], Letter] = lambda letter: letter) -> None:
        self._named = named
        self.by_place: dict[Place, Letter] = {}
        self.strange: list[str] = []
        """What lies there and is no letter, in words."""
        self._marks: dict[Place, list[Mark]] = {}
        self._copies: dict[tuple[str, int, int], list[Place]] = {}
        self._counts: dict[str, int] = {}

    def take(self, record: Record) -> None:
        """The next record of the topic."""
        try:
            found = read_letter(record)
        except NotALetter as error:
            self.strange.append(str(error))
            return
        if isinstance(found, Mark):
            self.mark(found)
        else:
            found = self._named(found)
            self.by_place[found.place] = found
            self._copies.setdefault(found.origin, []).append(found.place)
            self._count(found.base, found.redrives)

    def mark(self, mark: Mark) -> None:
        """A letter was redriven."""
        self._marks.setdefault(mark.place, []).append(mark)
        self._count(mark.base, mark.number)

    def _count(self, base: str, number: int) -> None:
        self._counts[base] = max(number, self._counts.get(base, 0))

    def redrives(self, letter: Letter) -> list[Mark]:
        """The redrives of a letter and of its copies, oldest first."""
        found = [mark for place in self._copies.get(letter.origin, ()) for mark in self._marks.get(place, ())]
        return sorted(found, key=lambda mark: mark.number)

    def next_number(self, letter: Letter) -> int:
        """The number of the letter's next redrive: one above all that the log knows of for its original."""
        return self._counts.get(letter.base, 0) + 1

    def with_id(self, wanted: str) -> list[Letter]:
        """The letters of this id, without copies."""
        return list({letter.origin: letter for letter in self.by_place.values() if letter.id == wanted}.values())


def redrive_id(letter: Letter, number: int) -> str:
    """The id of the ``number``-th redrive."""
    return f"{letter.base}.redrive-{number}"


def redriven(
    letter: Letter,
    number: int,
    value: bytes | None,
    changes: Mapping[str, bytes | None] | None = None,
    *,
    as_json: bool = False,
) -> Outgoing:
    """The letter's original, to be done again at its old place.

    ``changes``: headers that get other values, or (None) are taken out. ``as_json``: ``value`` is JSON by somebody's
    hand.
    """
    changed: dict[str, bytes | None] = dict(changes or {})
    if as_json:
        changed[names.CONTENT_TYPE] = JSON
    changed |= {names.CE_ID: redrive_id(letter, number).encode(), REDRIVES: str(number).encode()}
    return Outgoing(letter.topic, letter.partition, letter.key, value, _changed(letter.headers, changed))


def _changed(headers: Sequence[tuple[str, bytes]], changed: Mapping[str, bytes | None]) -> Headers:
    """Each in its place; what was not there comes last. Where a name came twice, the last one counts and stays."""
    left = dict(changed)
    kept: Headers = []
    for name, value in reversed(headers):
        if name not in changed:
            kept.append((name, value))
        elif (new := left.pop(name, None)) is not None:
            kept.append((name, new))
    return [*reversed(kept), *((name, value) for name, value in left.items() if value is not None)]


def mark_record(topic: str, mark: Mark, letter: Letter) -> Outgoing:
    """What is appended beside the letter when its redrive is acknowledged."""
    said = {
        "letter": str(mark.place),
        "id": mark.id,
        "redrive": mark.number,
        "topic": letter.topic,
        "by": mark.by,
        "at": datetime.fromtimestamp(mark.at / 1000, UTC).isoformat(timespec="seconds"),
    }
    headers = [*event(MARK_TYPE, mark.id, b"aiosv3/cli", JSON, b""), (REDRIVEN, str(mark.place).encode())]
    value = json.dumps(said, ensure_ascii=False).encode()
    return Outgoing(topic, mark.place.partition, letter.key, value, headers)
