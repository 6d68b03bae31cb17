"""From the rows of the log to the tree of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiosv3.agents.controls import FAIL, MIGRATE, RETRY
from aiosv3.agents.facts import DEADLINE_STEP, GRACE_STEP
from aiosv3.app.tracing.collecting import Row
from aiosv3.app.tracing.nodes import Attempt, Happened, Spent, Step, Task
from aiosv3.schemas.records import base_request_id

_CONTROLS: Final = {RETRY: "tried again", FAIL: "failed by hand", MIGRATE: "migrated"}
_LIMITS: Final = {DEADLINE_STEP: "its deadline passed", GRACE_STEP: "its grace ended"}
_SHOWN: Final = 120


def build(task_id: str, rows: Sequence[Row]) -> Task:
    """The task with all below it. ``rows`` are in the order of :func:`~aiosv3.app.tracing.collecting.collect`."""
    builder = _Builder(rows)
    for row in rows:
        builder.take(row)
    builder.join()
    return builder.tasks.get(task_id) or Task(task_id, None, rows[0]["timestamp"] if rows else 0, rows=list(rows))


class _Builder:
    def __init__(self, rows: Sequence[Row]) -> None:
        self.tasks: dict[str, Task] = {}
        for row in rows:
            found = _task_of(row)
            if found is not None and found[0] not in self.tasks:
                self.tasks[found[0]] = Task(*found, row["timestamp"])
        self._takers: dict[str, Callable[[Row], None]] = {
            "tasks": self._task,
            "results": self._result,
            "journal": self._journal,
            "decisions": self._decision,
            "completions": self._completion,
            "prompts": self._prompt,
            "tools": self._tool,
            "tool-results": self._tool_result,
            "approvals": self._person,
        }

    def take(self, row: Row) -> None:
        """Any row; what is not understood still belongs to its task or step, and is shown as a record."""
        taker = self._takers.get(row["topic"].partition(".")[0])
        if taker is not None and "unreadable" not in row["value"]:
            taker(row)
        else:
            self._owner(row).rows.append(row)

    def join(self) -> None:
        """Hangs each task below the step that started it."""
        for task_id, task in self.tasks.items():
            parent = self._longest(task_id, proper=True)
            if parent is None:
                continue
            step = self._step(parent, task_id.removeprefix(f"{parent.id}/"), task.began)
            step.kind, step.about, step.child = "call", task.agent or "", task
            step.began = min(step.began, task.began)
            if step.outcome is None and task.outcome is not None:
                step.outcome, step.error, step.ended = task.outcome, task.error, task.ended

    def _task(self, row: Row) -> None:
        self.tasks[row["id"]].rows.append(row)

    def _result(self, row: Row) -> None:
        task, value = self.tasks[row["id"]], row["value"]
        task.rows.append(row)
        if task.outcome is None:
            task.outcome, task.error, task.ended = value.get("outcome"), _error(value), row["timestamp"]

    def _journal(self, row: Row) -> None:
        value = row["value"]
        task = self.tasks.get(value.get("task_id", ""))
        if task is None:
            return
        kind, step_id = value.get("kind"), value.get("step_id")
        if kind in {"ANSWER", "VALUE", "TIMER"} and step_id not in {None, *_LIMITS}:
            self._answer(self._step(task, step_id, row["timestamp"]), row)
            return
        task.rows.append(row)
        if kind == "CARRY":
            timers = (value.get("carry") or {}).get("timers") or ()
            task.waits = {timer["step"]: timer["due"] for timer in timers}
        self._note(task, row["timestamp"], _what(kind, step_id, value))

    def _note(self, task: Task, at: int, what: str) -> None:
        """Again and again the same is one line: a carry is written anew whenever something has come."""
        last = task.happened[-1] if task.happened else None
        if last is not None and last.what == what:
            last.times += 1
        else:
            task.happened.append(Happened(at, what))

    def _answer(self, step: Step, row: Row) -> None:
        value = row["value"]
        step.rows.append(row)
        step.answers += 1
        if step.ended is not None:
            return  # the first one counts
        if step.kind == "unknown" and value["kind"] != "ANSWER":
            step.kind = value["kind"].lower()
        step.outcome, step.error, step.ended = value.get("outcome"), _error(value), row["timestamp"]

    def _prompt(self, row: Row) -> None:
        if row["id"].endswith("!cancel"):
            self._owner(row).rows.append(row)
            return
        self._model(row)

    def _model(self, row: Row) -> tuple[Step, Attempt]:
        step = self._step_of(row)
        step.kind = "model"
        step.rows.append(row)
        number = _attempt(row["id"])
        return step, step.attempts.setdefault(number, Attempt(number, row["timestamp"]))

    def _decision(self, row: Row) -> None:
        if row["id"].endswith("!cancel"):
            self._owner(row).rows.append(row)
            return
        step, attempt = self._model(row)
        value = row["value"]
        attempt.pool, attempt.model = value.get("pool"), value.get("model")
        attempt.reason = str(value.get("reason") or "").removeprefix(f"attempt {attempt.number}: ") or None
        if value.get("outcome") == "REFUSED":
            attempt.outcome, attempt.error, attempt.ended = "REFUSED", _error(value), row["timestamp"]
            self._ends(step, attempt)

    def _completion(self, row: Row) -> None:
        step, attempt = self._model(row)
        value = row["value"]
        attempt.spent += Spent.of(value.get("usage"))  # a call that was made twice is paid twice
        if attempt.ended is not None:
            return
        attempt.pool, attempt.model = value.get("pool"), value.get("model")
        attempt.outcome, attempt.error = value.get("outcome"), _error(value)
        attempt.latency_ms, attempt.ended = value.get("latency_ms"), row["timestamp"]
        self._ends(step, attempt)

    def _ends(self, step: Step, attempt: Attempt) -> None:
        """Where the journal is gone, the last attempt says how the step ended."""
        if not step.answers:
            step.outcome, step.error = attempt.outcome, attempt.error

    def _tool(self, row: Row) -> None:
        step = self._step_of(row)
        step.kind, step.about = "tool", f"{row['value'].get('server')}.{row['value'].get('tool')}"
        step.rows.append(row)

    def _tool_result(self, row: Row) -> None:
        self._tool(row)
        step, value = self._step_of(row), row["value"]
        if step.ended is None and not step.answers:
            step.outcome, step.error = value.get("outcome"), _error(value)

    def _person(self, row: Row) -> None:
        value = row["value"]
        if "step_id" in value:
            step = self._step_of(row)
            asked = f"{str(value.get('kind')).lower()} by {value.get('role') or 'anybody'}"
            content = value.get("content")
            step.kind, step.about = "person", _short(f"{asked}: {content if isinstance(content, str) else '(sealed)'}")
            step.rows.append(row)
            return
        request = str(value.get("request_id", ""))
        task = self._longest(request, proper=True)
        if task is None:
            return
        step = self._step(task, request.removeprefix(f"{task.id}/"), row["timestamp"])
        step.rows.append(row)
        if value.get("accepted"):
            step.who = value.get("who")

    def _step_of(self, row: Row) -> Step:
        """The step whose request, attempt or answer a row is."""
        value = row["value"]
        base = base_request_id(row["id"])
        task = self.tasks.get(value.get("task_id", "")) or self._longest(base, proper=True)
        if task is None:
            task = self.tasks[base] = Task(base, value.get("agent"), row["timestamp"])
        inside = base.removeprefix(f"{task.id}/")
        return self._step(task, value.get("step_id") or inside, row["timestamp"])

    def _step(self, task: Task, step_id: str, at: int) -> Step:
        return task.steps.setdefault(step_id, Step(step_id, at))

    def _owner(self, row: Row) -> Task | Step:
        base = base_request_id(row["id"]).removesuffix("!cancel")
        task = self._longest(base)
        if task is None:
            return next(iter(self.tasks.values()), Task(base, None, row["timestamp"]))
        return task.steps.get(base.removeprefix(f"{task.id}/"), task)

    def _longest(self, name: str, *, proper: bool = False) -> Task | None:
        """The task of which ``name`` is the id, or that of something below it. Ids grow to the right, by slashes."""
        if not proper and name in self.tasks:
            return self.tasks[name]
        while "/" in name:
            name = name.rpartition("/")[0]
            if name in self.tasks:
                return self.tasks[name]
        return None


def _task_of(row: Row) -> tuple[str, str | None] | None:
    """The task that a row proves to exist, and its agent."""
    kind, _, owner = row["topic"].partition(".")
    if kind in {"tasks", "results"}:
        return row["id"], owner
    value = row["value"]
    task_id = value.get("task_id")
    if not isinstance(task_id, str) or not task_id:
        return None
    return task_id, owner if kind == "journal" else value.get("agent")


def _attempt(request_id: str) -> int:
    suffix = request_id.rpartition("~")[2]
    return int(suffix) if "~" in request_id and suffix.isascii() and suffix.isdigit() else 1


def _what(kind: Any, step_id: str | None, value: dict[str, Any]) -> str:
    if kind == "STARTED":
        return f"started by version {value.get('code_version')}"
    if kind == "CARRY":
        return "parked"
    if kind == "CANCEL":
        return "cancelled"
    if kind == "SIGNAL":
        name = str(value.get("message"))
        return _CONTROLS.get(name, f"message {name}")
    return _LIMITS.get(step_id or "", f"{kind} {step_id or ''}".strip())


def _error(value: dict[str, Any]) -> str | None:
    error = value.get("error")
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
