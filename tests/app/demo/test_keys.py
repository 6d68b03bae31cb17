"""Keys: from a real terminal's device, and what they mean."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from aiosv3.app.demo.keys import LABELS, Chooser, Keyboard
from aiosv3.app.demo.stack import Process

PROCESSES = [Process(f"p{number}", number, "running") for number in range(1, 13)]


@pytest.fixture
def terminal() -> Iterator[tuple[int, Any]]:
    """The side that a person types on, and the side that a program reads."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "rb", buffering=0) as stream:
        yield ours, stream
    os.close(ours)


def test_keys_come_without_enter_and_without_waiting(terminal: tuple[int, Any]) -> None:
    typed, stream = terminal
    with Keyboard(stream) as keyboard:
        assert keyboard.pressed() == ""
        os.write(typed, b"k3")
        assert keyboard.pressed() == "k3"
        assert keyboard.pressed() == ""


def test_the_terminal_is_put_back_as_it_was(terminal: tuple[int, Any]) -> None:
    _, stream = terminal
    before = termios.tcgetattr(stream)

    def fail() -> None:
        with Keyboard(stream):
            assert termios.tcgetattr(stream) != before
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert termios.tcgetattr(stream) == before


def test_ctrl_c_stays_ctrl_c(terminal: tuple[int, Any]) -> None:
    _, stream = terminal
    with Keyboard(stream):
        assert termios.tcgetattr(stream)[3] & termios.ISIG


@pytest.mark.parametrize(
    ("keys", "killed"),
    [
        ("k1", ["p1"]),
        ("k0", ["p10"]),
        ("ka", ["p11"]),
        ("1", []),
        ("kx1", []),
        ("kk2", ["p2"]),
        ("k1k2", ["p1", "p2"]),
        ("k1 2", ["p1"]),
        ("kz", []),
    ],
)
def test_k_and_then_a_process(keys: str, killed: list[str]) -> None:
    assert [victim.name for victim in Chooser().press(keys, PROCESSES)] == killed


def test_a_key_that_comes_later_is_still_for_the_k() -> None:
    chooser = Chooser()
    assert chooser.press("k", PROCESSES) == []
    assert chooser.choosing
    assert [victim.name for victim in chooser.press("2", PROCESSES)] == ["p2"]
    assert not chooser.choosing


def test_q_stops() -> None:
    chooser = Chooser()
    chooser.press("kq", PROCESSES)
    assert chooser.stopped


def test_no_process_has_the_key_of_a_command() -> None:
    assert not set("kq") & set(LABELS)
    assert len(set(LABELS)) == len(LABELS)
