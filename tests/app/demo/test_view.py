"""The picture and the lines."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from aiosv3.app.demo.calls import Tally
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.stack import Process
from aiosv3.app.demo.view import Lines, Progress, Scene, Screen, kill_words, picture

PROCESSES = (Process("router-1", 7, "running", 2), Process("naive-1", None, "backoff", 1))


def scene(done: int = 3, **more: Any) -> Scene:
    ours = Progress("ours", done, 9, 0, Tally(calls=4), 1.5, ("a: MIT (rule)", "b: [x] (rule)"))
    naive = Progress("naive", 2, 9, 1, Tally(calls=5, paid_again=1), 0.5, ())
    return Scene(12.3, PROCESSES, (ours, naive), (Kill("router", 1, "router-1", 5, 2),), **more)


def text(renderable: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(renderable)
    return out.getvalue()


def test_the_picture() -> None:
    shown = text(picture(scene(note="waiting"), keys=True))
    for words in (
        "router-1",
        "restarting",
        "AIOSv3",
        "naive loop",
        "3 of 9, 1.5 a second",
        "5, paid twice 1",
        "a: MIT (rule)",
        "b: [x] (rule)",
        "kill -9 router-1 (pid 5) after 2 results",
        "waiting",
        "k kill a process",
    ):
        assert words in shown


def test_the_chooser_gives_each_process_a_key() -> None:
    shown = text(picture(scene(), keys=True, choosing=True))
    rows = [line.split()[:2] for line in shown.splitlines()]
    assert ["1", "router-1"] in rows
    assert ["2", "naive-1"] in rows
    assert "which one?" in shown


def test_a_small_terminal_has_room_for_it() -> None:
    many = tuple(Process(f"agent-licences-{number}", 12_345, "running", 1) for number in range(10))
    kills = tuple(Kill("router", 1, f"router-{number}", 5, 2) for number in range(9))
    small = replace(scene(note="waiting for what the naive loop still does"), processes=many, kills=kills)
    out = io.StringIO()
    Console(file=out, width=80).print(picture(small, keys=True, small=True))
    shown = out.getvalue().splitlines()
    assert len(shown) <= 24
    assert max(len(line) for line in shown) <= 80
    assert "process" in shown[0]
    assert "AIOSv3" in shown[0], "the two stand beside each other"
    assert "router-8" in shown[-2]


def test_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with Lines(Console(file=out, width=120)) as lines:
        for done in (0, 1, 2, 2, 4, 9, 9):
            lines.show(scene(done))
        lines.told(Kill("router", 1, "router-1", 5, 2))
        assert lines.victims(PROCESSES) == []
        assert not lines.stopped
    printed = out.getvalue().splitlines()
    assert [line.strip() for line in printed] == [
        "results after 12 s: AIOSv3 0 of 9, naive loop 2 of 9",
        "results after 12 s: AIOSv3 2 of 9, naive loop 2 of 9",
        "results after 12 s: AIOSv3 4 of 9, naive loop 2 of 9",
        "results after 12 s: AIOSv3 9 of 9, naive loop 2 of 9",
        "kill -9 router-1 (pid 5) after 2 results",
    ]


class Keys:
    """Keys that the test presses."""

    def __init__(self) -> None:
        self.typed = ""
        self.open = 0

    def __enter__(self) -> Keys:
        self.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.open -= 1

    def pressed(self) -> str:
        typed, self.typed = self.typed, ""
        return typed


def test_a_screen_moves_and_takes_keys() -> None:
    out, keys = io.StringIO(), Keys()
    console = Console(file=out, force_terminal=True, width=120, _environ={"TERM": "xterm"})
    with Screen(console, keys) as screen:  # type: ignore[arg-type]
        assert keys.open == 1
        keys.typed = "k"
        assert screen.victims(PROCESSES) == []
        screen.show(scene())
        screen.told(Kill("router", 1, "router-1", 5, 2))
        keys.typed = "1q"
        assert screen.victims(PROCESSES) == [PROCESSES[0]]
        assert screen.stopped
    assert keys.open == 0
    assert "which one?" in out.getvalue()


def test_a_name_is_no_markup() -> None:
    kill = Kill("router", 1, "a[b]", 5, 2)
    out = io.StringIO()
    Lines(Console(file=out, width=120)).told(kill)
    assert out.getvalue().split() == ["kill", "-9", *kill_words(kill).split()]
    assert "a[b]" in out.getvalue()
