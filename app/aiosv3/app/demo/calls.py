"""What the model saw: the calls of both sides, as its endpoint wrote them down (``meter``)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

LOG_NAME: Final = "calls.jsonl"
OURS: Final = "ours"
NAIVE: Final = "naive"

End = Literal["answered", "cut", "failed"]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call that was handed to the model. ``question``: a hash of what was asked, the same whoever asks.

    ``end`` None: it is at work. ``cut``: the asker, or the endpoint itself, was gone before the answer.
    """

    caller: str
    question: str
    began: int
    end: End | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """The calls of one side. ``paid_again``: answers to a question that had been answered before.

    Tokens are those of answered calls, ``paid_again`` included. What a provider charges for a call that is cut off is
    not known here.
    """

    calls: int = 0
    answered: int = 0
    paid_again: int = 0
    cut: int = 0
    failed: int = 0
    open: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def read_calls(log: Path) -> list[ModelCall]:
    """Every call in the log, in the order in which they began; empty where there is none yet.

    An endpoint that was started again has dropped whatever it had in hand.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    calls: dict[str, ModelCall] = {}
    for entry in filter(None, map(_entry, lines)):
        number, event = entry["call"], entry["event"]
        if event == "started":
            calls = {one: replace(call, end=call.end or "cut") for one, call in calls.items()}
        elif event == "began":
            calls[number] = ModelCall(entry["caller"], entry["question"], entry["at"])
        elif number in calls:
            used = entry.get("input_tokens", 0), entry.get("output_tokens", 0)
            calls[number] = replace(calls[number], end=event, input_tokens=used[0], output_tokens=used[1])
    return list(calls.values())


def tally(calls: Iterable[ModelCall], caller: str) -> Tally:
    """The calls of ``caller`` alone."""
    mine = [call for call in calls if call.caller == caller]
    ends = Counter(call.end for call in mine)
    answered = [call for call in mine if call.end == "answered"]
    return Tally(
        calls=len(mine),
        answered=len(answered),
        paid_again=len(answered) - len({call.question for call in answered}),
        cut=ends["cut"],
        failed=ends["failed"],
        open=ends[None],
        input_tokens=sum(call.input_tokens for call in answered),
        output_tokens=sum(call.output_tokens for call in answered),
    )


def _entry(line: str) -> dict[str, Any] | None:
    """A line that its writer was killed over, or is still writing, is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
