"""What a kill -9 did: which tasks were lost, given twice, or done again. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that an execution left: ``end`` or its beginning, of ``name``, at ``at`` seconds since the epoch."""

    end: bool
    name: str
    at: float


def marks_of(text: str) -> list[Mark]:
    """The lines of a file; a line that the kill cut off is none."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[0] in {"b", "e"} and "." in parts[2]:
            found.append(Mark(parts[0] == "e", parts[1], float(parts[2])))
    return found


@dataclass(frozen=True, slots=True)
class Account:
    """``lost``: tasks without a result at the end; ``duplicated``: with more than one; ``repeated``: executed again
    though their result was on the log before the kill; ``cut``: executed again, caught by the kill between beginning
    and result; ``recovery``: seconds from the kill to the first execution after it."""

    lost: int
    duplicated: int
    repeated: int
    cut: int
    recovery: float


def account(
    names: Sequence[str], results: Iterable[tuple[str, float]], marks: Sequence[Mark], killed: float
) -> Account:
    """``results``: name and time of each that is on the log, in seconds since the epoch."""
    first: dict[str, float] = {}
    count: Counter[str] = Counter()
    for name, at in results:
        first.setdefault(name, at)
        count[name] += 1
    begun = Counter(mark.name for mark in marks if not mark.end)
    before = {mark.name for mark in marks if not mark.end and mark.at < killed}
    again = {mark.name for mark in marks if not mark.end and mark.at >= killed} & before
    again |= {name for name, times in begun.items() if times > 1}
    finished = {name for name, at in first.items() if at < killed}
    later = [mark.at for mark in marks if not mark.end and mark.at >= killed]
    return Account(
        sum(1 for name in names if not count[name]),
        sum(1 for name in names if count[name] > 1),
        len(again & finished),
        len(again - finished),
        min(later) - killed if later else float("nan"),
    )


@dataclass(frozen=True, slots=True)
class StepAccount:
    """``lost``: workflows that never ended; ``repeated``: steps executed again whose successor had begun before the
    kill, so that their value was in use; ``returned``: steps executed again that had returned, but were the last of
    their workflow to do so; ``cut``: steps executed again that the kill caught at work; ``recovery``: seconds from the
    kill to the first step after it."""

    lost: int
    repeated: int
    returned: int
    cut: int
    recovery: float


def step_account(workflows: int, done: int, marks: Sequence[Mark], killed: float) -> StepAccount:
    """Marks are named ``workflow/number``, numbers from 1."""
    begun = {mark.name for mark in marks if not mark.end and mark.at < killed}
    ended = {mark.name for mark in marks if mark.end and mark.at < killed}
    after = [mark for mark in marks if not mark.end and mark.at >= killed]
    again = {mark.name for mark in after} & begun
    used = {name for name in again if successor(name) in begun}
    return StepAccount(
        workflows - done,
        len(used),
        len((again & ended) - used),
        len(again - ended - used),
        min((mark.at for mark in after), default=float("nan")) - killed,
    )


def successor(step: str) -> str:
    """The step after this one."""
    workflow, _, number = step.rpartition("/")
    return f"{workflow}/{int(number) + 1}"
