"""Dead letters of a mesh: found on the broker, chosen, and sent back to where they came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jsonschema

from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.app.reading import Reading
from aiosv3.app.settings import SettingsError
from aiosv3.app.workers import Mesh, clock
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.headers import CE_ID
from aiosv3.schemas.topics import Topics
from aiosv3.streams.errors import DataLost
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.redrive import Letter, Letters, Mark, Place, mark_record, redrive_id, redriven
from aiosv3.streams.tenure import appended

_LENGTH: Final = re.compile(r"(?:\d+[wdhms])+")
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class CannotRedrive(AiosError):
    """A letter that cannot be sent back, or not without more words. Says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant. ``topic``: with or without prefix. ``since``: when they died (ms); None: always."""

    topic: str | None = None
    agent: str | None = None
    since: int | None = None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.topic, self.agent, self.since))

    def fits(self, letter: Letter, topics: Topics) -> bool:
        """Whether a letter is one of them."""
        if self.topic is not None and letter.topic not in {self.topic, topics.prefix + self.topic}:
            return False
        if self.since is not None and letter.died_at < self.since:
            return False
        return self.agent is None or agent_of(letter, topics) == self.agent


def agent_of(letter: Letter, topics: Topics) -> str | None:
    """The agent whose task, journal or result it was; None for letters of routers, pools and zones."""
    kind, _, name = letter.topic.removeprefix(topics.prefix).partition(".")
    return name if name and kind in {"tasks", "journal", "results", "state"} else None


def is_task(letter: Letter, topics: Topics) -> bool:
    """Whether it was a task event, which may also be JSON."""
    return letter.topic.removeprefix(topics.prefix).partition(".")[0] == "tasks"


def moment_of(text: str, now: datetime) -> int:
    """``2h``, ``1d12h`` ago, or an RFC 3339 time, in ms. Raises :class:`SettingsError`."""
    if _LENGTH.fullmatch(text):
        parts = re.findall(r"(\d+)([wdhms])", text)
        then = now - sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
        return int(then.timestamp() * 1000)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--since {text!r} is no time: write 30m, 2h, 1d12h or 2026-01-31T07:00:00Z") from None
    return int((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)


async def read_letters(mesh: Mesh, since: int | None = None) -> Letters:
    """All letters that died at or after ``since`` (ms), and the marks of all that were redriven since then."""
    reading, topic = Reading(mesh), mesh.topics.dead_letters()
    found = Letters(lambda letter: replace(letter, id=as_binary(letter, letter.value).id))
    for partition in range(await reading.partitions(topic)):
        start = 0 if since is None else await mesh.log.offset_at(topic, partition, since)
        async for record in reading.records(topic, partition, start):
            found.take(record)
    return found


def as_binary(letter: Letter, value: bytes | None) -> Letter:
    """A CloudEvent in structured mode as the same event in binary mode, any other letter as it is, with ``value``.

    The id of a structured event is in its value, where a redrive could not change it.
    """
    record = Record(letter.topic, letter.partition, letter.offset, 0, letter.key, value, letter.headers)
    try:
        binary = unfolded(record)
    except MalformedValue:
        binary = record
    if binary is record:
        return replace(letter, value=value)
    given = (binary.header(CE_ID) or b"").decode("utf-8", "replace")
    return replace(letter, id=given or letter.id, headers=binary.headers, value=binary.value)


def chosen(letters: Letters, names: Iterable[str]) -> list[Letter]:
    """The letters named by place or by id. Raises :class:`SettingsError` for what there is not, or more than once."""
    found: dict[tuple[str, int, int], Letter] = {}
    for name in names:
        place = Place.parse(name)
        meant = letters.with_id(name) if place is None else [*filter(None, [letters.by_place.get(place)])]
        if not meant:
            raise SettingsError(f"there is no dead letter {name!r}: 'aiosv3 dlq list' shows those that there are")
        if len(meant) > 1:
            places = ", ".join(str(letter.place) for letter in meant)
            raise SettingsError(f"{name!r} names {len(meant)} dead letters: choose one of {places}")
        found[meant[0].origin] = meant[0]
    return list(found.values())


def fitting(letters: Letters, wanted: Wanted, topics: Topics) -> list[Letter]:
    """The letters that fit, oldest first."""
    found = (letter for letter in letters.by_place.values() if wanted.fits(letter, topics))
    return sorted(found, key=lambda letter: (letter.died_at, letter.place))


async def original_value(mesh: Mesh, letter: Letter) -> bytes | None:
    """The original's bytes: the letter's own, or those of the original, if they did not fit into the letter.

    None where the original has none. Raises :class:`CannotRedrive` where it is gone.
    """
    if letter.value is not None:
        return letter.value
    gone = CannotRedrive(
        f"letter {letter.place} holds no bytes, and its original {letter.topic}[{letter.partition}]@{letter.offset} is "
        "gone: --with gives it new ones"
    )
    if letter.partition >= await Reading(mesh).partitions(letter.topic):
        raise gone
    bounds = await mesh.log.bounds(letter.topic, letter.partition)
    if not bounds.start <= letter.offset < bounds.end:
        raise gone
    try:
        async for batch in mesh.log.read(letter.topic, letter.partition, letter.offset, letter.offset + 1):
            for record in batch:
                return record.value
    except DataLost:
        pass
    raise gone


@dataclass(frozen=True, slots=True)
class Correction:
    """What is changed by hand. ``value``: JSON text. ``headers``: new values; None takes a header out."""

    value: str | None = None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redrive:
    """One letter and what is to be sent for it, or (``why_not``) why nothing is."""

    letter: Letter
    number: int
    outgoing: Outgoing | None
    why_not: str | None = None
    already: bool = False
    """``why_not`` is that it was redriven before."""

    @property
    def id(self) -> str:
        """The id under which it is done again."""
        return redrive_id(self.letter, self.number)


async def planned(mesh: Mesh, letters: Letters, letter: Letter, correction: Correction, *, again: bool) -> Redrive:
    """What a redrive of a letter would send; nothing is sent. Raises :class:`SettingsError` for a wrong correction."""
    number = letters.next_number(letter)
    done = letters.redrives(letter)
    if done and not again:
        last = done[-1]
        words = f"redriven as {last.id} by {last.by or 'somebody'}: --again does it again"
        return Redrive(letter, number, None, words, already=True)
    if letter.partition >= (count := await Reading(mesh).partitions(letter.topic)):
        words = "is not there any more" if not count else f"has {count} partitions"
        return Redrive(letter, number, None, f"topic {letter.topic} {words}")
    try:
        value = await original_value(mesh, letter)
    except CannotRedrive as error:
        if correction.value is None:
            return Redrive(letter, number, None, str(error))
        value = None
    event = as_binary(letter, value)
    if correction.value is not None:
        await _check_input(mesh, letter, correction.value)
        event = replace(event, value=correction.value.encode())
    outgoing = redriven(event, number, event.value, correction.headers, as_json=correction.value is not None)
    return Redrive(event, number, outgoing)


async def _check_input(mesh: Mesh, letter: Letter, text: str) -> None:
    """JSON that the agent would take, as its newest card says. Raises :class:`SettingsError`."""
    if not is_task(letter, mesh.topics):
        raise SettingsError(
            f"--with is for tasks, whose input may be JSON; {letter.place} is a record of {letter.topic}"
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"--with is not JSON: {error}") from None
    schema = await _input_schema(mesh, agent_of(letter, mesh.topics) or "")
    if schema is None:
        return
    wrong = next(jsonschema.Draft202012Validator(schema).iter_errors(value), None)
    if wrong is not None:
        raise SettingsError(
            f"--with is no input of {agent_of(letter, mesh.topics)}: {wrong.json_path}: {wrong.message}"
        )


async def _input_schema(mesh: Mesh, agent: str) -> Any:
    """Of the agent's newest version; None where no card of it can be read."""
    reading, newest = Reading(mesh), dict[str, Any]()
    if not await reading.exists(mesh.topics.agents()):
        return None
    async for record in reading.records(mesh.topics.agents(), 0):
        card = await reading.decoded(record)
        if card.get("agent") == agent and card.get("updated", 0) >= newest.get("updated", 0):
            newest = card
    return json.loads(newest["input_schema"]) if newest else None


async def send(mesh: Mesh, redrive: Redrive, by: str) -> Mark:
    """Sends it, then marks its letter.

    Who dies in between may do it again: the id is the same, so the second copy is answered from the first.
    """
    if redrive.outgoing is None:
        raise CannotRedrive(f"letter {redrive.letter.place}: {redrive.why_not}")
    await appended(mesh.log, redrive.outgoing)
    mark = Mark(redrive.letter.place, redrive.id, redrive.number, by, clock())
    await appended(mesh.log, mark_record(mesh.topics.dead_letters(), mark, redrive.letter))
    return mark
