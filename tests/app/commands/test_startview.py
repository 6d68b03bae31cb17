"""How a start looks, on a terminal and without one."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from aiosv3.app.commands.startview import StartView
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus

WAITING = ProcessStatus("kafka", ProcessState.WAITING, None, 0, 0.0, None, "/l")


def at(*states: ProcessState, phase: Phase = Phase.STARTING) -> StackStatus:
    names = ("kafka", "registry", "agent-[a]-1")
    processes = tuple(replace(WAITING, name=name, state=state) for name, state in zip(names, states, strict=True))
    return StackStatus(phase, None, {}, processes)


START, RUN, WAIT, BACK = ProcessState.STARTING, ProcessState.RUNNING, ProcessState.WAITING, ProcessState.BACKOFF


@pytest.fixture
def text() -> io.StringIO:
    return io.StringIO()


def view(text: io.StringIO, *, terminal: bool, width: int = 80) -> StartView:
    return StartView(Console(file=text, force_terminal=terminal, width=width, soft_wrap=True, legacy_windows=False))


def moving(start: StartView) -> str:
    """The line that moves; empty where there is none."""
    return "" if start._line is None else str(start._line.status)


def test_without_a_terminal_each_process_is_a_line_and_each_fifth_of_a_download(text: io.StringIO) -> None:
    with view(text, terminal=False) as start:
        start.say("Pool [a]: x")
        with start.download("Kafka", 10_000_000) as advance:
            for _ in range(12):
                advance(1_000_000)
        start.changed(at(START, WAIT, WAIT))
        start.changed(at(RUN, START, WAIT))
        start.changed(at(RUN, RUN, START))
        start.changed(at(RUN, RUN, RUN, phase=Phase.READY))
    assert text.getvalue().splitlines() == [
        "Pool [a]: x",
        *(f"Kafka: {done} of 10 MB" for done in (2, 4, 6, 8, 10)),
        "kafka is running.",
        "registry is running.",
    ]
    assert "\x1b" not in text.getvalue()


def test_on_a_terminal_one_line_moves_and_goes_away(text: io.StringIO) -> None:
    with view(text, terminal=True) as start:
        with start.download("Kafka", 10) as advance:
            advance(5)
        start.changed(at(RUN, START, WAIT))
        assert "1 of 3 are running; starting registry" in moving(start)
        start.changed(at(RUN, RUN, BACK))
        assert "starting agent-[a]-1 (again)" in moving(start)
        start.changed(at(RUN, RUN, RUN, phase=Phase.READY))
        assert moving(start) == ""
    assert "\x1b[?25h" in text.getvalue(), "the cursor is back"


def test_what_starts_for_long_says_what_it_waits_for(text: io.StringIO, tmp_path: Path) -> None:
    log, moving_text = tmp_path / "pool.log", io.StringIO()
    log.write_text("before\nvLLM is not well yet after 40 s: shards: [12%]\n")
    me, now = identify(os.getpid()), time.time()

    def loading(seconds: float) -> StackStatus:
        one = ProcessStatus("pool-own-1", START, me, 0, now - seconds, None, str(log))
        return StackStatus(Phase.STARTING, None, {}, (one,))

    with view(text, terminal=False) as start:
        for seconds in (5, 40, 50, 60, 90, 100):
            start.changed(loading(seconds))
    said = "vLLM is not well yet after 40 s: shards: [12%]"
    assert text.getvalue().splitlines() == [f"pool-own-1 is starting for {seconds} s: {said}" for seconds in (40, 90)]
    with view(moving_text, terminal=True, width=200) as start:
        start.changed(loading(5))
        assert moving(start).endswith("starting pool-own-1")
        start.changed(loading(40))
        assert moving(start).endswith(f"starting pool-own-1 ({said})")


def test_an_error_under_way_gives_the_terminal_back(text: io.StringIO) -> None:
    def fail(start: StartView) -> None:
        with start:
            start.changed(at(RUN, START, WAIT))
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail(view(text, terminal=True))
    assert text.getvalue().rindex("\x1b[?25h") > text.getvalue().rindex("\x1b[?25l")


def test_a_narrow_terminal_gets_a_shorter_line(text: io.StringIO) -> None:
    with view(text, terminal=True, width=20) as start:
        start.changed(at(RUN, START, WAIT))
        assert 0 < len(moving(start)) <= 16
