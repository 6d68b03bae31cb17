"""Which functions of a module run inside a task: agents, what takes a Context, and what those call by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiosv3.app.determinism.scopes import FunctionNode, Scope, inside

_DECORATORS: Final = frozenset({"aiosv3.agents.agent", "aiosv3.agents.agent.agent"})
_OUTSIDE: Final = frozenset({"run", "loop"})
"""Methods of the context that run the functions that they are given, as steps of their own."""
_CALLERS: Final = frozenset({f"builtins.{name}" for name in ("filter", "map", "max", "min", "sorted")})
_CALLING: Final = frozenset({"add_done_callback", "call_at", "call_later", "call_soon", "sort"})


@dataclass(frozen=True, eq=False)
class Unit:
    """A function whose body runs inside a task. ``name`` is dotted for what is inside another function or class."""

    node: FunctionNode
    scope: Scope
    name: str
    is_agent: bool

    def nodes(self) -> Iterator[ast.AST]:
        """What runs in the task when the function does; not what it hands to ``ctx.run`` and ``ctx.loop``."""
        for statement in self.node.body:
            yield from self._visit(statement, handed=False)

    def _visit(self, node: ast.AST, *, handed: bool) -> Iterator[ast.AST]:
        if isinstance(node, ast.Lambda) and handed:
            return
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return
        hands = isinstance(node, ast.Call) and self.step_of(node) in _OUTSIDE
        for child in ast.iter_child_nodes(node):
            yield from self._visit(child, handed=handed or hands)

    def step_of(self, call: ast.Call) -> str | None:
        """The method of the context that is called; None for any other call."""
        method = call.func
        if isinstance(method, ast.Attribute) and self.scope.is_context(method.value):
            return method.attr
        return None


def units_of(module: ast.Module) -> list[Unit]:
    """All units of a module, in the order of their lines."""
    found: dict[ast.AST, Unit] = {}
    waiting = list(_begin(Scope(module), ""))
    while waiting:
        unit = waiting.pop()
        if unit.node not in found:
            found[unit.node] = unit
            waiting += _called(unit)
    return sorted(found.values(), key=lambda unit: unit.node.lineno)


def agents_in(module: ast.Module) -> dict[str, str]:
    """Function -> name of the agent that ``@agent`` makes of it, for those at the top of a module."""
    scope = Scope(module)
    return {
        name: _given_name(decorator) or name.replace("_", "-").lower()
        for name, function in scope.functions.items()
        for decorator in function.decorator_list
        if _makes_agent(decorator, scope)
    }


def _given_name(decorator: ast.expr) -> str | None:
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return None


def _makes_agent(decorator: ast.expr, scope: Scope) -> bool:
    return scope.name_of(decorator.func if isinstance(decorator, ast.Call) else decorator) in _DECORATORS


def _begin(scope: Scope, prefix: str) -> Iterator[Unit]:
    """The agents of a scope and of what is inside it, and whatever takes a Context."""
    for name, function in scope.functions.items():
        unit = _unit(function, scope, prefix + name)
        if unit.is_agent or unit.scope.contexts:
            yield unit
        yield from _begin(unit.scope, f"{prefix}{name}.")
    for name, kind in scope.classes.items():
        yield from _begin(Scope(kind, scope), f"{prefix}{name}.")


def _unit(function: FunctionNode, outer: Scope, name: str) -> Unit:
    scope = Scope(function, outer)
    is_agent = any(_makes_agent(decorator, outer) for decorator in function.decorator_list)
    if is_agent and function.args.args:
        scope.contexts.add(function.args.args[0].arg)
    return Unit(function, scope, name, is_agent)


def _called(unit: Unit) -> Iterator[Unit]:
    for node in unit.nodes():
        if isinstance(node, ast.Call):
            yield from _callees(unit, node)


def _callees(unit: Unit, call: ast.Call) -> Iterator[Unit]:
    called = call.func
    if isinstance(called, ast.Name):
        yield from _named(unit, called.id)
        if (kind := unit.scope.named_class(called.id)) is not None:
            yield from _methods(*kind, ("__init__", "__post_init__", "__new__"))
    elif isinstance(called, ast.Attribute):
        kind = _class_behind(unit, called.value)
        if kind is not None:
            yield from _methods(*kind, (called.attr,))
    if _calls_its_arguments(unit, called):
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(argument, ast.Name):
                yield from _named(unit, argument.id)


def _named(unit: Unit, name: str) -> Iterator[Unit]:
    found = unit.scope.function(name)
    if found is not None:
        function, scope = found
        yield _unit(function, scope, f"{unit.name}.{name}" if scope is unit.scope else name)


def _class_behind(unit: Unit, value: ast.expr) -> tuple[ast.ClassDef, Scope] | None:
    """The class whose method is called: of ``self``, of an instance that was made here, or by its own name."""
    if isinstance(value, ast.Name):
        outer = unit.scope.parent
        if value.id in {"self", "cls"} and outer is not None and isinstance(outer.place, ast.ClassDef):
            return outer.place, outer.parent or outer
        if (kind := unit.scope.named_class(value.id)) is not None:
            return kind
    return unit.scope.class_of(value)


def _methods(kind: ast.ClassDef, scope: Scope, names: tuple[str, ...]) -> Iterator[Unit]:
    inner = Scope(kind, scope)
    for name in names:
        if name in inner.functions:
            yield _unit(inner.functions[name], inner, f"{kind.name}.{name}")


def _calls_its_arguments(unit: Unit, called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute) and called.attr in _CALLING:
        return True
    return unit.scope.name_of(called) in _CALLERS


def nodes_within(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, without the functions and classes defined there."""
    yield node
    yield from inside(node)
