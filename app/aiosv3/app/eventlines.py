"""What is seen of a task, as lines for people: tokens run on, everything else has a line of its own."""

from __future__ import annotations

from typing import TextIO

from aiosv3.agents.client import Answered, Asked, Decided, Event, Finished, Gap, Progress, Started, Tokens


class EventLines:
    """Writes events to a stream as they come. ``root``: the task whose name needs no saying."""

    def __init__(self, stream: TextIO, root: str) -> None:
        self._stream = stream
        self._root = root
        self._running: tuple[str, str] | None = None

    def show(self, event: Event) -> None:
        """One event; Finished only ends the line that is open."""
        if isinstance(event, Tokens):
            self._tokens(event)
        elif isinstance(event, Gap):
            self._stream.write(f"[{event.missing} pieces lost]")
        elif isinstance(event, Finished | Answered):
            self._end_line()
        else:
            self._line(f"{self._name(event.task)}{_words(event)}")
        self._stream.flush()

    def _tokens(self, event: Tokens) -> None:
        step = (event.task, event.step)
        if step != self._running:
            self._line(f"{self._name(event.task)}answer of step {event.step}:")
            self._running = step
        elif event.erases:
            self._line(f"{self._name(event.task)}answer of step {event.step}, from the beginning again:")
            self._running = step
        self._stream.write(event.text)

    def _name(self, task: str) -> str:
        return "" if task == self._root else f"{task}: "

    def _line(self, words: str) -> None:
        self._end_line()
        self._stream.write(f"{words}\n")

    def _end_line(self) -> None:
        if self._running is not None:
            self._stream.write("\n")
            self._running = None


def _words(event: Started | Progress | Asked | Decided) -> str:
    match event:
        case Started():
            return f"started (version {event.version})"
        case Progress(fraction=None):
            return event.text
        case Progress():
            return f"{event.fraction:.0%} {event.text}".rstrip()
        case Asked():
            how = "--approve, or --deny" if event.kind == "APPROVE" else "--json VALUE"
            who = event.role or "somebody"
            return f"asks {who}: {event.text}\n  aiosv3 approvals answer {event.question} {how}"
        case Decided():
            return f"{event.who} answered {event.question}"
