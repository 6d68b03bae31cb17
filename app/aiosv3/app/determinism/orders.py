"""Warnings: what depends on the order of a set."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from aiosv3.app.determinism.findings import Finding, finding
from aiosv3.app.determinism.rules import BY_ID
from aiosv3.app.determinism.scopes import Scope
from aiosv3.app.determinism.units import Unit, nodes_within

_SETS: Final = frozenset({"builtins.set", "builtins.frozenset"})
_SET_TYPES: Final = frozenset({"AbstractSet", "FrozenSet", "MutableSet", "Set", "frozenset", "set"})
_SET_METHODS: Final = frozenset({"difference", "intersection", "symmetric_difference", "union"})
_ORDERING: Final = frozenset(f"builtins.{name}" for name in ("enumerate", "iter", "list", "tuple", "zip", "map"))
_ORDERLESS: Final = frozenset(f"builtins.{name}" for name in ("frozenset", "max", "min", "set", "sorted", "sum"))
_GATHERS: Final = frozenset({"append", "extend", "insert", "put_nowait"})


class _Sets:
    """Tells what is a set, in one unit."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def holds(self, value: ast.expr, scope: Scope | None = None, depth: int = 0) -> bool:
        scope = scope or self._unit.scope
        if depth > 10:
            return False
        if isinstance(value, (ast.Set, ast.SetComp)):
            return True
        if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
            return any(self.holds(v, scope, depth + 1) or _is_view(v) for v in (value.left, value.right))
        if isinstance(value, ast.Call):
            method = value.func
            if isinstance(method, ast.Attribute) and method.attr in _SET_METHODS:
                return self.holds(method.value, scope, depth + 1)
            return scope.name_of(method) in _SETS
        if isinstance(value, ast.Name):
            return self._variable(value.id, scope, depth)
        return isinstance(value, ast.Attribute) and self._field(value, scope)

    def _variable(self, name: str, scope: Scope, depth: int) -> bool:
        home = scope.find(name)
        if home is None:
            return False
        if name in home.typed:
            return _is_set_type(home.typed[name])
        made = home.made_of.get(name)
        return made is not None and self.holds(made, home, depth + 1)

    def _field(self, value: ast.Attribute, scope: Scope) -> bool:
        """A field of the agent's own input, say, that its class declares as a set."""
        found = scope.class_of(value.value)
        if found is None:
            return False
        return any(
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and line.target.id == value.attr
            and _is_set_type(line.annotation)
            for line in found[0].body
        )


def _is_view(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in {"keys", "items"}
    )


def _is_set_type(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Subscript):
        return _is_set_type(annotation.value)
    if isinstance(annotation, ast.BinOp):
        return _is_set_type(annotation.left)
    name = annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", None)
    return name in _SET_TYPES


def set_orders(file: str, unit: Unit) -> Iterator[Finding]:
    """Loops over sets that do something in order, and sequences made of sets."""
    sets = _Sets(unit)
    orderless = _orderless(unit)
    for node in unit.nodes():
        ordered = _ordered(unit, sets, node, orderless)
        if ordered is not None:
            words = f"{ast.unparse(ordered)[:60]} {BY_ID['set-order'].finds}"
            # asyncio.as_completed: nothing to sort, as it puts coroutines into a set of its own before it starts them
            better = (
                "tasks, made in order by asyncio.create_task"
                if isinstance(ordered, ast.Call) and ordered is node
                else ""
            )
            yield finding(file, ordered, "set-order", words, unit.name, better)


def _orderless(unit: Unit) -> set[ast.AST]:
    """Generators whose order nobody sees: they go into a sum, a set, ``sorted``, ``any``."""
    found: set[ast.AST] = set()
    for node in unit.nodes():
        if isinstance(node, ast.Call):
            known = unit.scope.name_of(node.func) in _ORDERLESS
            if known or (isinstance(node.func, ast.Name) and node.func.id in {"all", "any", "len"}):
                found.update(node.args)
    return found


def _ordered(unit: Unit, sets: _Sets, node: ast.AST, orderless: set[ast.AST]) -> ast.expr | None:
    """The set whose order ``node`` makes matter."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return node.iter if sets.holds(node.iter) and _acts(unit, node) else None
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)) and node not in orderless:
        return next((part.iter for part in node.generators if sets.holds(part.iter)), None)
    if isinstance(node, ast.Starred):
        return node.value if sets.holds(node.value) else None
    if isinstance(node, ast.FormattedValue):
        return node.value if sets.holds(node.value) else None
    if isinstance(node, ast.Call) and node not in orderless:
        return _call_order(unit, sets, node)
    return None


def _call_order(unit: Unit, sets: _Sets, call: ast.Call) -> ast.expr | None:
    method = call.func
    joins = isinstance(method, ast.Attribute) and method.attr == "join"
    name = unit.scope.name_of(method)
    if joins or name in _ORDERING or (isinstance(method, ast.Name) and method.id == "str"):
        return next((argument for argument in call.args if sets.holds(argument)), None)
    if isinstance(method, ast.Attribute) and method.attr == "pop" and not call.args and sets.holds(method.value):
        return method.value
    if name == "asyncio.as_completed" and call.args and _coroutines(unit, call.args[0]):
        return call
    return None


def _coroutines(unit: Unit, awaited: ast.expr) -> bool:
    """Whether these are coroutines that do not run yet; steps and tasks keep the order in which they were called."""
    if isinstance(awaited, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
        made = [awaited.elt]
    else:
        made = list(getattr(awaited, "elts", ()))
    return any(
        isinstance(one, ast.Call)
        and unit.step_of(one) is None
        and not (isinstance(one.func, ast.Attribute) and one.func.attr in {"create_task", "ensure_future"})
        for one in made
    )


def _acts(unit: Unit, loop: ast.For | ast.AsyncFor) -> bool:
    """Whether it can be seen from outside in which order a loop went."""
    for node in (within for line in loop.body for within in nodes_within(line)):
        if isinstance(node, (ast.Await, ast.Yield, ast.Return, ast.Break)):
            return True
        if isinstance(node, ast.Name) and unit.scope.is_context(node):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GATHERS:
            return True
    return False
