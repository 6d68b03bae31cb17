"""The tree of a task as lines for people."""

from __future__ import annotations

from typing import Final

from rich.text import Text
from rich.tree import Tree

from aiosv3.agents.facts import DEADLINE_STEP, GRACE_STEP
from aiosv3.app.tracing.collecting import Row
from aiosv3.app.tracing.nodes import Attempt, Happened, Spent, Step, Task

_STYLES: Final = {"OK": "green", "FAILED": "bold red", "REFUSED": "yellow", "CANCELLED": "magenta", None: "cyan"}
_DIM: Final = "dim"
_LIMITS: Final = {DEADLINE_STEP: "deadline", GRACE_STEP: "end of its grace"}


class Drawing:
    """``now``: milliseconds since the epoch, for what still waits. ``records`` shows where each record lies, too."""

    def __init__(self, began: int, now: int, *, records: bool = False) -> None:
        self._began = began
        self._now = now
        self._records = records

    def tree(self, task: Task) -> Tree:
        """The whole of it: its root says the totals."""
        root = Tree(self._head(task), guide_style=_DIM)
        self._fill(root, task)
        return root

    def _head(self, task: Task) -> Text:
        line = Text().append(f"task {task.id}", style="bold")
        line.append(f"  {task.agent or 'agent unknown'}  ")
        if task.ended is None:
            line.append(f"open for {took(self._now - task.began)}", style="cyan")
        else:
            line.append(f"{task.outcome} in {took(task.ended - task.began)}", style=_STYLES.get(task.outcome, ""))
        if task.error is not None:
            line.append(f", {task.error}")
        return line.append(_paid(task.spent))

    def _fill(self, branch: Tree, task: Task) -> None:
        entries: list[tuple[int, Step | Happened]] = [(step.began, step) for step in task.ordered()]
        entries += [(one.at, one) for one in task.happened]
        for at, entry in sorted(entries, key=lambda pair: pair[0]):
            line = Text().append(f"{self._since(at)}  ", style=_DIM)
            if isinstance(entry, Happened):
                again = f", {entry.times} times" if entry.times > 1 else ""
                branch.add(line.append(f"{entry.what}{again}"))
            else:
                self._step(branch.add(line.append_text(self._step_line(entry))), entry)
        for step_id, due in sorted(task.waits.items()):
            if task.ended is None and (step_id not in task.steps or task.steps[step_id].ended is None):
                what = _LIMITS.get(step_id, f"timer {step_id}")
                branch.add(Text(f"{what} in {took(max(0, due - self._now))}", style="cyan"))
        self._places(branch, task.rows)

    def _step_line(self, step: Step) -> Text:
        line = Text().append(f"{step.id} ", style="bold").append(step.kind)
        if step.about:
            line.append(f" {step.about}")
        single = _only(step)
        if single is not None:
            line.append(_route(single))
        line.append("  ").append_text(self._outcome(step))
        if step.who is not None:
            line.append(f" by {step.who}")
        if step.answers > 1:
            line.append(f" (answered {step.answers} times, the first one counts)", style="yellow")
        return line.append(_paid(step.spent))

    def _outcome(self, step: Step) -> Text:
        if step.ended is None and step.outcome is None:
            return Text(f"waiting for {took(self._now - step.began)}", style="cyan")
        error = f", {step.error}" if step.error is not None else ""
        spent = "" if step.ended is None or step.ended == step.began else f" in {took(step.ended - step.began)}"
        return Text(f"{step.outcome or 'OK'}", style=_STYLES.get(step.outcome, "")).append(
            f"{spent}{error}", style="none"
        )

    def _step(self, branch: Tree, step: Step) -> None:
        if _only(step) is None:
            for _, attempt in sorted(step.attempts.items()):
                branch.add(self._attempt(attempt))
        if step.child is not None:
            self._fill(branch, step.child)
        self._places(branch, step.rows)

    def _attempt(self, attempt: Attempt) -> Text:
        line = Text().append(f"{self._since(attempt.at)}  attempt {attempt.number}", style=_DIM)
        line.append(_route(attempt)).append("  ")
        if attempt.ended is None:
            return line.append(f"waiting for {took(self._now - attempt.at)}", style="cyan")
        style = _STYLES.get(attempt.outcome, "")
        line.append(f"{attempt.outcome} in {took(attempt.ended - attempt.at)}", style=style)
        if attempt.error is not None:
            line.append(f", {attempt.error}")
        return line.append(_paid(attempt.spent))

    def _places(self, branch: Tree, rows: list[Row]) -> None:
        for row in rows if self._records else ():
            place = f"{row['topic']}[{row['partition']}]@{row['offset']}"
            branch.add(Text(f"{self._since(row['timestamp'])}  {place}  {row['type']}", style=_DIM))

    def _since(self, at: int) -> str:
        return f"+{took(at - self._began):>7}"


def _only(step: Step) -> Attempt | None:
    """The attempt of a step that needed one: it is told in the line of its step."""
    return next(iter(step.attempts.values())) if len(step.attempts) == 1 else None


def _route(attempt: Attempt) -> str:
    if attempt.pool is None:
        return f" not routed{f' ({attempt.reason})' if attempt.reason else ''}"
    return f" {attempt.pool} ({attempt.model}){f': {attempt.reason}' if attempt.reason else ''}"


def _paid(spent: Spent) -> str:
    if not spent.model_calls and not spent.input_tokens and not spent.cost_usd_micros:
        return ""
    calls = f"{spent.model_calls} calls, " if spent.model_calls > 1 else ""
    tokens = f"{spent.input_tokens}+{spent.output_tokens} tokens"
    return f"; {calls}{tokens}, {'about ' * spent.estimated}{spent.cost_usd_micros / 1e6:.6f} USD"


def took(milliseconds: int) -> str:
    """A span of time as people say it."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
