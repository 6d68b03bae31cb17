"""Steps that nobody awaits, and handlers that swallow a cancel."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from aiosv3.app.determinism.findings import Finding, finding
from aiosv3.app.determinism.rules import BY_ID
from aiosv3.app.determinism.units import Unit, nodes_within

_ANSWERED: Final = frozenset({"approve", "ask", "call", "generate", "loop", "recall", "receive", "run"})
"""Steps with an answer. The others (``send``, ``emit``, ``remember``, ``progress``) are complete when they are sent."""
_ASYNCIO: Final = frozenset({"asyncio.gather", "asyncio.sleep", "asyncio.wait", "asyncio.wait_for"})
_CANCEL: Final = frozenset({"asyncio.CancelledError", "asyncio.exceptions.CancelledError"})


def lost_steps(file: str, unit: Unit) -> Iterator[Finding]:
    """Steps and coroutines that are begun, or not even begun, and never awaited."""
    used = {node.id for node in ast.walk(unit.node) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in unit.nodes():
        lost = _thrown_away(unit, node, used)
        if lost is not None and (words := _waits(unit, lost)) is not None:
            yield finding(file, lost, "missing-await", f"{words} {BY_ID['missing-await'].finds}", unit.name)


def _thrown_away(unit: Unit, node: ast.AST, used: set[str]) -> ast.Call | None:
    """A call whose value goes nowhere, or out of the agent as it is."""
    value = getattr(node, "value", None)
    if not isinstance(value, ast.Call):
        return None
    statement = isinstance(node, ast.Expr)
    unused = isinstance(node, ast.Assign) and _unused(node.targets, used)
    returned = unit.is_agent and isinstance(node, ast.Return)
    return value if statement or unused or returned else None


def _unused(targets: list[ast.expr], used: set[str]) -> bool:
    return len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id not in used


def _waits(unit: Unit, call: ast.Call) -> str | None:
    """How a call is written that gives something to await; None for any other."""
    written = f"{ast.unparse(call.func)}()"
    if unit.step_of(call) in _ANSWERED or unit.scope.name_of(call.func) in _ASYNCIO:
        return written
    if isinstance(call.func, ast.Name):
        found = unit.scope.function(call.func.id)
        if found is not None and isinstance(found[0], ast.AsyncFunctionDef) and not _generates(found[0]):
            return written
    return None


def _generates(function: ast.AsyncFunctionDef) -> bool:
    """An asynchronous generator, or something that a decorator made of it, is no coroutine function."""
    yields = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes_within(function))
    return yields or bool(function.decorator_list)


def swallowed_cancels(file: str, unit: Unit) -> Iterator[Finding]:
    """Handlers, and ``suppress``, that let a task go on which was cancelled."""
    cancels = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cancel"
        for node in unit.nodes()
    )
    for node in unit.nodes():
        if isinstance(node, ast.ExceptHandler):
            caught = _caught(unit, node.type, own=cancels)
            if caught is not None and not any(isinstance(n, ast.Raise) for n in nodes_within(node)):
                yield _swallows(file, unit, node, f"except {caught}:" if caught else "except:")
        elif isinstance(node, ast.Call) and unit.scope.name_of(node.func) == "contextlib.suppress":
            for kind in node.args:
                if (caught := _caught(unit, kind, own=cancels)) is not None:
                    yield _swallows(file, unit, node, f"suppress({caught})")


def _swallows(file: str, unit: Unit, node: ast.AST, words: str) -> Finding:
    return finding(file, node, "swallow", f"{words} {BY_ID['swallow'].finds}", unit.name)


def _caught(unit: Unit, kind: ast.expr | None, *, own: bool) -> str | None:
    """The type that catches a cancel, as written, "" for all; None for none.

    ``own``: a cancel that the function has asked for itself may be caught by its own name.
    """
    if kind is None:
        return ""
    for one in kind.elts if isinstance(kind, ast.Tuple) else [kind]:
        name = unit.scope.name_of(one)
        if (isinstance(one, ast.Name) and one.id == "BaseException" and name is None) or (name in _CANCEL and not own):
            return ast.unparse(one)
    return None
