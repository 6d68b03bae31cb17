"""Dead letters: the original untouched, the reason beside it, and never a record less."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.deadletters import Graveyard, dead_letter, too_large_letter
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.streams.conftest import Stage

RECORD = Record("tasks", 3, 77, 1_750_000_000_123, b"key", b"\x00value", [(CE_ID, b"x"), ("own", b"\xff")])
ERROR = MalformedValue("byte 0 is 7, not the magic byte 0")


def test_the_original_is_untouched() -> None:
    letter = dead_letter("dead", RECORD, ERROR, "router")
    assert (letter.topic, letter.partition) == ("dead", None)
    assert (letter.key, letter.value) == (b"key", b"\x00value")
    assert letter.headers[:2] == RECORD.headers


def test_the_headers_are_those_of_spring() -> None:
    assert dict(dead_letter("dead", RECORD, ERROR, "router").headers[2:]) == {
        "kafka_dlt-original-topic": b"tasks",
        "kafka_dlt-original-partition": b"3",
        "kafka_dlt-original-offset": b"77",
        "kafka_dlt-original-timestamp": b"1750000000123",
        "kafka_dlt-original-consumer-group": b"router",
        "kafka_dlt-exception-fqcn": b"aiosv3.schemas.errors.MalformedValue",
        "kafka_dlt-exception-message": b"byte 0 is 7, not the magic byte 0",
    }


def test_a_message_that_nobody_reads_to_its_end_is_cut() -> None:
    message = dict(dead_letter("dead", RECORD, AiosError("é" * 5_000 + "\ud800"), "router").headers)
    assert message["kafka_dlt-exception-message"] == ("é" * 2_000).encode()
    broken = dict(dead_letter("dead", RECORD, AiosError("\ud800"), "router").headers)
    assert broken["kafka_dlt-exception-message"] == b"?"


def test_without_its_value_a_letter_still_says_where_it_lies() -> None:
    letter = too_large_letter("dead", RECORD, ERROR, "router")
    assert letter == dead_letter("dead", RECORD, ERROR, "router")._replace(value=None)


Bury = Callable[[], list[str]]


@pytest.fixture
def bury(stage: Stage) -> Bury:
    """Buries ``RECORD``; what it returns fills when the letter is durable."""

    def begin() -> list[str]:
        done: list[str] = []
        graveyard = Graveyard(stage.worker("a").wiring, "dead-letters")
        stage.loop.call_soon(graveyard.bury, RECORD, ERROR, lambda: done.append("durable"))
        return done

    return begin


def test_it_goes_on_once_when_the_letter_is_durable(stage: Stage, bury: Bury) -> None:
    acks = stage.wire.hold("ack", "dead-letters")
    done = bury()
    stage.settle()
    assert done == []
    acks.release()
    stage.settle()
    assert done == ["durable"]
    assert stage.values("dead-letters") == [b"\x00value"]


def test_a_value_over_the_limit_stays_where_it_was(stage: Stage, bury: Bury) -> None:
    stage.limit_bytes("dead-letters", len(RECORD.value or b"") + 480)
    letter = dead_letter("dead-letters", RECORD, ERROR, "workers")
    size = sum(len(name) + len(value) for name, value in letter.headers) + len(RECORD.key or b"") + 70
    stage.limit_bytes("dead-letters", size)
    done = bury()
    stage.settle()
    assert done == ["durable"]
    (record,) = stage.broker.records("dead-letters")
    assert record.value is None
    assert record.header("kafka_dlt-original-offset") == b"77"


def test_nothing_is_dropped_while_the_log_is_away(stage: Stage, bury: Bury) -> None:
    away = stage.wire.hold("append", "dead-letters")
    done = bury()
    stage.advance(100)
    assert done == []
    assert len(away.messages) >= 3, "it asks again after each time-out"
    away.drop()
    stage.run(lambda: done == ["durable"])
    assert stage.values("dead-letters")[-1] == b"\x00value"


def test_a_topic_that_is_missing_is_waited_for(stage: Stage) -> None:
    done: list[str] = []
    graveyard = Graveyard(stage.worker("a").wiring, "later")
    stage.loop.call_soon(graveyard.bury, RECORD, ERROR, lambda: done.append("durable"))
    stage.advance(10)
    assert done == []
    stage.broker.create_topic("later", 1)
    stage.run(lambda: done == ["durable"], within=1)
    assert len(stage.values("later")) == 1


def test_headers_over_the_limit_do_not_keep_the_loop_busy(stage: Stage, bury: Bury) -> None:
    stage.limit_bytes("dead-letters", 100)
    bury()
    for _ in range(1_000):
        if not stage.loop.run_one():
            break
    assert stage.loop.idle()
