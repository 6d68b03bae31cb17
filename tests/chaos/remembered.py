"""Says whether memory is what tasks were told: as the log has it, as it is read from the log, and in every view.

Knows no Kafka, as :mod:`tests.chaos.checker`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.chaos.checker import Place, Violation


class Noted(NamedTuple):
    """An event of memory's log. ``text`` None: this memory is forgotten. ``asked``: where its request stands."""

    request: str
    id: str
    text: str | None
    place: Place
    asked: int


@dataclass
class Memory:
    """``told``: memory -> the text that a task was told is remembered, or None where it was told that it is forgotten.

    ``read``: what somebody has who reads the log whole. ``log``, ``states``, ``views``: comparable sums over what the
    log gives, what the newest states say, and what each worker finds things in.
    """

    told: Mapping[str, str | None]
    events: Sequence[Noted]
    read: Mapping[str, str]
    log: str
    states: str
    views: Mapping[str, str]


def check_memory(memory: Memory) -> list[Violation]:
    """Everything that is wrong, in words."""
    held = fold(memory.events)
    return [*_twice(memory.events), *_as_told(memory.told, held), *_as_read(memory, held)]


def fold(events: Sequence[Noted]) -> dict[str, str]:
    """Memory -> text: the first event of a request counts; of a memory the later request, whichever event is first."""
    held: dict[str, str] = {}
    first: dict[str, Noted] = {}
    for event in sorted(events, key=lambda one: one.place):
        first.setdefault(event.request, event)
    for event in sorted(first.values(), key=lambda one: (one.place.partition, one.asked)):
        if event.text is None:
            held.pop(event.id, None)
        else:
            held[event.id] = event.text
    return held


def _twice(events: Sequence[Noted]) -> Iterator[Violation]:
    """What was asked once is one memory."""
    ids: dict[str, set[str]] = defaultdict(set)
    for event in events:
        ids[event.request].add(event.id)
    for request, found in sorted(ids.items()):
        if len(found) > 1:
            yield Violation("duplicated", f"memory: {request} came to {sorted(found)}")


def _as_told(told: Mapping[str, str | None], held: Mapping[str, str]) -> Iterator[Violation]:
    for name, text in sorted(told.items()):
        if text is None and name in held:
            yield Violation("wrong", f"memory: {name} was forgotten, and is held: {held[name]!r}")
        elif text is not None and name not in held:
            yield Violation("lost", f"memory: {name} was remembered as {text!r}, and is not held")
        elif text is not None and held[name] != text:
            yield Violation("wrong", f"memory: {name} was remembered as {text!r}, and is held as {held[name]!r}")
    for name in sorted(held.keys() - told.keys()):
        yield Violation("wrong", f"memory: {name} is held as {held[name]!r}, and nobody was told so")


def _as_read(memory: Memory, held: Mapping[str, str]) -> Iterator[Violation]:
    if memory.read != held:
        differ = sorted(memory.read.items() ^ held.items())[:5]
        yield Violation("wrong", f"memory: whoever reads the log has something else than it says: {differ}")
    if memory.states != memory.log:
        yield Violation("wrong", f"memory: the states say {memory.states}, the log {memory.log}")
    for name, view in sorted(memory.views.items()):
        if view != memory.log:
            yield Violation("wrong", f"memory: {name} finds things in {view}, the log gives {memory.log}")
