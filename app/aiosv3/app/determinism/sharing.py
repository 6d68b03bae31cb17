"""Warnings: what tasks share through the variables of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from aiosv3.app.determinism.findings import Finding, finding
from aiosv3.app.determinism.rules import BY_ID
from aiosv3.app.determinism.scopes import Scope, inside
from aiosv3.app.determinism.units import Unit

_CHANGES: Final = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"}
    | {"setdefault", "update", "subtract", "__setitem__"}
)


def shared_state(file: str, unit: Unit, changed: frozenset[str]) -> Iterator[Finding]:
    """Variables of the module that the unit changes, or reads while somebody changes them (``changed``)."""
    told: set[str] = set()
    for node in unit.nodes():
        name = _changed_by(node, unit.scope)
        if name is None and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            home = unit.scope.find(node.id)
            if home is not None and home.is_module and node.id in changed and node.id in home.made_of:
                name = node.id
        if name is not None and name not in told:
            told.add(name)
            yield finding(file, node, "global-state", f"{name} {BY_ID['global-state'].finds}", unit.name)


def changed_variables(module: ast.Module) -> frozenset[str]:
    """The variables of a module that any of its functions changes."""
    return frozenset(_changed_in(Scope(module)))


def _changed_in(scope: Scope) -> Iterator[str]:
    if not scope.is_module:
        for node in inside(scope.place):
            if (name := _changed_by(node, scope)) is not None:
                yield name
    for function in scope.functions.values():
        yield from _changed_in(Scope(function, scope))
    for kind in scope.classes.values():
        yield from _changed_in(Scope(kind, scope))


def _changed_by(node: ast.AST, scope: Scope) -> str | None:
    """The variable of the module that a node changes."""
    if isinstance(node, ast.Global):
        return node.names[0]
    if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        return _shared_root(node.value, scope)
    if isinstance(node, ast.Call):
        method = node.func
        if isinstance(method, ast.Attribute) and method.attr in _CHANGES:
            return _shared_root(method.value, scope)
        if scope.name_of(method) == "builtins.next" and node.args:
            return _shared_root(node.args[0], scope)
    return None


def _shared_root(value: ast.expr, scope: Scope) -> str | None:
    while isinstance(value, (ast.Attribute, ast.Subscript)):
        value = value.value
    if not isinstance(value, ast.Name):
        return None
    home = scope.find(value.id)
    shared = home is not None and home.is_module and (value.id in home.made_of or value.id in home.classes)
    return value.id if shared else None
