"""Calls of what reaches outside the task, by name: clocks, dice, files, networks and so on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from aiosv3.app.determinism.findings import Finding, finding
from aiosv3.app.determinism.rules import RULES
from aiosv3.app.determinism.units import Unit


def outside_calls(file: str, unit: Unit) -> Iterator[Finding]:
    """What the unit calls, or reads, that no rule allows."""
    for node in unit.nodes():
        if isinstance(node, ast.Call) and unit.step_of(node) is None:
            yield from _call(file, unit, node)
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Load):
            yield from _read(file, unit, node)


def _call(file: str, unit: Unit, call: ast.Call) -> Iterator[Finding]:
    name = unit.scope.name_of(call.func)
    if name is None:
        if not isinstance(call.func, ast.Attribute):
            return
        name = f"?.{call.func.attr}"
    arguments = len(call.args) + len(call.keywords)
    for rule in RULES:
        if rule.forbids_call(name, arguments):
            written = ast.unparse(call.func)
            known = name.replace("()", "").removeprefix("builtins.").removeprefix("?.")
            meant = "" if f".{known}".endswith(f".{written}") or written.endswith(known) else f" ({known})"
            yield finding(file, call, rule.id, f"{_short(written)}(){meant} {rule.finds}", unit.name)
            return


def _read(file: str, unit: Unit, node: ast.Attribute | ast.Name) -> Iterator[Finding]:
    name = unit.scope.name_of(node)
    if name is None:
        return
    for rule in RULES:
        if rule.forbids_read(name):
            yield finding(file, node, rule.id, f"{ast.unparse(node)} {rule.finds}", unit.name)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"…{text[-59:]}"
