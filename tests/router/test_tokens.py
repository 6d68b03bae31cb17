"""Pieces of an answer become few records: the first at once, each with its number, whole characters only."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from aiosv3.router.tokens import EVERY_S, Shown, TokenStream
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.eventloop import DeterministicLoop

SHOWN = Shown("root", "task", "writer", "2", 2, 40, 3, "task/2~2", b"prompts.p/0/7", b"trace")


@dataclass
class Recorded:
    """A sender that only remembers, with the moment."""

    clock: list[float]
    deltas: list[Delta] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    places: set[tuple[int, str, bytes, bytes]] = field(default_factory=set)

    def send(self, delta: Delta, partition: int, key: str, source: bytes, traceparent: bytes) -> None:
        self.deltas.append(delta)
        self.at.append(self.clock[0])
        self.places.add((partition, key, source, traceparent))

    @property
    def texts(self) -> list[str]:
        return [str(delta.content) for delta in self.deltas if delta.kind is DeltaKind.TOKEN]


class Stage:
    """One call on virtual time."""

    def __init__(self) -> None:
        self.clock = [0.0]
        self.loop = DeterministicLoop(lambda: self.clock[0])
        self.sent = Recorded(self.clock)
        sender: DeltaSender = self.sent  # type: ignore[assignment] # only what a stream needs
        self.stream = TokenStream(sender, SHOWN, self.loop)

    def passes(self, seconds: float) -> None:
        self.clock[0] += seconds
        self.loop.run_due()
        self.loop.run_until_idle(1_000)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_first_piece_is_shown_at_once_and_the_next_ones_together(stage: Stage) -> None:
    stage.stream.say("Once")
    assert stage.sent.texts == ["Once"]
    for piece in (" upon", " a", " time"):
        stage.stream.say(piece)
    assert stage.sent.texts == ["Once"]
    stage.passes(EVERY_S)
    assert stage.sent.texts == ["Once", " upon a time"]
    stage.stream.say(".")
    stage.stream.end()
    assert [(delta.kind, delta.sequence) for delta in stage.sent.deltas] == [
        (DeltaKind.TOKEN, 0),
        (DeltaKind.TOKEN, 1),
        (DeltaKind.TOKEN, 2),
        (DeltaKind.END, 3),
    ]
    assert stage.sent.deltas[0] == Delta("root", "task", "writer", "2", 2, 40, 0, DeltaKind.TOKEN, content="Once")
    assert stage.sent.places == {(3, "task/2~2", b"prompts.p/0/7", b"trace")}


def test_a_fast_model_makes_no_more_than_twenty_records_a_second(stage: Stage) -> None:
    for _ in range(2_000):
        stage.stream.say("word ")
        stage.passes(0.001)
    for second in (0.0, 0.5, 0.99):
        assert sum(second <= at < second + 1 for at in stage.sent.at) <= 20
    stage.stream.end()
    assert "".join(stage.sent.texts) == "word " * 2_000


def test_a_slow_model_is_not_held_back(stage: Stage) -> None:
    for number in range(5):
        stage.stream.say(str(number))
        assert len(stage.sent.texts) == number + 1
        stage.passes(EVERY_S * 2)


def test_a_character_that_comes_in_halves_is_shown_whole(stage: Stage) -> None:
    stage.stream.say("smile: \ud83d")
    stage.stream.say("\ude00!")
    stage.stream.end()
    assert "".join(stage.sent.texts) == "smile: \N{GRINNING FACE}!"


def test_half_a_character_that_stays_alone_is_replaced_as_in_the_answer(stage: Stage) -> None:
    stage.stream.say("a\ud83d")
    stage.stream.end()
    assert "".join(stage.sent.texts) == "a\N{REPLACEMENT CHARACTER}"


def test_a_whole_answer_in_one_piece_goes_in_records_that_fit(stage: Stage) -> None:
    stage.stream.say("x" * 100_000)
    assert "".join(stage.sent.texts) == "x" * 100_000
    assert max(map(len, stage.sent.texts)) <= 16_384


@pytest.mark.parametrize("way", ["stop", "end"])
def test_after_its_end_nothing_is_shown(stage: Stage, way: str) -> None:
    stage.stream.say("a")
    stage.stream.say("b")
    getattr(stage.stream, way)()
    sent = len(stage.sent.deltas)
    stage.stream.say("late")
    stage.stream.end()
    stage.stream.stop()
    stage.passes(1.0)
    assert len(stage.sent.deltas) == sent
    assert stage.sent.texts == (["a"] if way == "stop" else ["a", "b"])


def test_an_answer_without_text_has_only_its_end(stage: Stage) -> None:
    stage.stream.say("")
    stage.stream.end()
    assert [(delta.kind, delta.sequence, delta.content) for delta in stage.sent.deltas] == [(DeltaKind.END, 0, None)]
