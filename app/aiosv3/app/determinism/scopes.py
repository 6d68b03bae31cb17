"""What a name means at a place of a module: aliases of imports, functions, classes, and what variables were made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, TypeAlias

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_Place: TypeAlias = ast.Module | ast.ClassDef | FunctionNode
_CONTEXTS: Final = frozenset({"aiosv3.agents.Context", "aiosv3.agents.context.Context"})
_BUILTINS: Final = frozenset(
    {"breakpoint", "filter", "frozenset", "hash", "id", "input", "list", "map", "max", "min", "next", "open", "set"}
    | {"sorted", "sum", "tuple", "enumerate", "iter", "zip", "dict"}
)
_PATH: Final = "pathlib.Path()"
_DICE: Final = "random.Random"
"""A generator with a seed repeats itself, where no two tasks share it."""
_PATH_PARTS: Final = frozenset({"anchor", "name", "parent", "parts", "stem", "suffix", "suffixes"})
_STAYS_PATH: Final = frozenset({"joinpath", "relative_to", "with_name", "with_stem", "with_suffix"})
_DEEPEST: Final = 20


def inside(place: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a module, class or function but those in functions and classes inside of it, which come alone."""
    for child in ast.iter_child_nodes(place):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from inside(child)


class Scope:
    """The names of one function, class or module. ``parent``: where a name is looked up that is not here."""

    def __init__(self, place: _Place, parent: Scope | None = None) -> None:
        self.place = place
        self.parent = parent
        self.functions: dict[str, FunctionNode] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.contexts: set[str] = set()
        self.made_of: dict[str, ast.expr | None] = {}
        """Variable -> the expression of its only assignment; None where there are several, or none to be seen."""
        self.typed: dict[str, ast.expr] = {}
        """Variable -> its annotation."""
        self.globals: set[str] = set()
        self._imports: dict[str, str] = {}
        self._seen: set[int] = set()
        if isinstance(place, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._take_parameters(place)
        for node in [*inside(place)]:
            self._take(node)
        for name in self.globals:
            self.made_of.pop(name, None)

    @property
    def is_module(self) -> bool:
        """Whether its variables are those that all tasks of a worker share."""
        return self.parent is None

    def find(self, name: str) -> Scope | None:
        """The scope that a name belongs to; None for a builtin."""
        scope: Scope | None = self
        while scope is not None:
            known = (scope.functions, scope.classes, scope.made_of, scope._imports)  # noqa: SLF001 -- of its own kind
            # Names of a class body are not those of its methods.
            if any(name in names for names in known) and not (
                isinstance(scope.place, ast.ClassDef) and scope is not self
            ):
                return scope
            scope = scope.parent
        return None

    def function(self, name: str) -> tuple[FunctionNode, Scope] | None:
        """The function of this name as seen from here, and the scope that defines it."""
        scope = self.find(name)
        return (scope.functions[name], scope) if scope is not None and name in scope.functions else None

    def class_of(self, value: ast.expr) -> tuple[ast.ClassDef, Scope] | None:
        """The class of this module that a value is an instance of, where that can be seen."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            return self.named_class(value.func.id)
        if not isinstance(value, ast.Name):
            return None
        scope = self.find(value.id)
        if scope is None:
            return None
        if (kind := scope.typed.get(value.id)) is not None and isinstance(bare := _bare(kind), ast.Name):
            return self.named_class(bare.id)
        made = scope.made_of.get(value.id)
        return scope.class_of(made) if isinstance(made, ast.Call) else None

    def named_class(self, name: str) -> tuple[ast.ClassDef, Scope] | None:
        """The class of this name, and the scope that defines it."""
        scope = self.find(name)
        return (scope.classes[name], scope) if scope is not None and name in scope.classes else None

    def is_context(self, value: ast.expr) -> bool:
        """Whether a value is the context of the task."""
        if isinstance(value, ast.Attribute):
            return value.attr in {"ctx", "_ctx", "context", "_context"}
        scope = self.find(value.id) if isinstance(value, ast.Name) else None
        return scope is not None and isinstance(value, ast.Name) and value.id in scope.contexts

    def name_of(self, value: ast.expr, depth: int = 0) -> str | None:
        """The full dotted name of an expression: ``time.time``, ``pathlib.Path().read_text``; None if nobody knows."""
        if depth > _DEEPEST:
            return None
        if isinstance(value, ast.Name):
            return self._name(value.id, depth)
        if isinstance(value, ast.Attribute):
            base = self.name_of(value.value, depth + 1)
            if base == _PATH and value.attr in _PATH_PARTS:
                return _PATH if value.attr == "parent" else None
            return None if base is None else f"{base}.{value.attr}"
        if isinstance(value, ast.Call):
            return _instance(self.name_of(value.func, depth + 1))
        if isinstance(value, ast.Await):
            return self.name_of(value.value, depth + 1)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
            return (
                _PATH if _PATH in {self.name_of(value.left, depth + 1), self.name_of(value.right, depth + 1)} else None
            )
        return None

    def _name(self, name: str, depth: int) -> str | None:
        scope = self.find(name)
        if scope is None:
            return f"builtins.{name}" if name in _BUILTINS else None
        if name in scope._imports:  # noqa: SLF001 -- of its own kind
            return scope._imports[name]  # noqa: SLF001
        kind = scope.typed.get(name)
        if kind is not None and (named := scope.type_name(kind)) is not None and named != _DICE:
            return f"{named}()"
        made = scope.made_of.get(name)
        if made is None:
            return None
        if scope.is_module and isinstance(made, ast.Call) and scope.name_of(made.func, depth + 1) == _DICE:
            return f"{_DICE}()"
        found = scope.name_of(made, depth + 1)
        # What a task has made for itself was looked at where it was made.
        if found is not None and "()" in found and not scope.is_module and found != _PATH:
            return None
        return found

    def type_name(self, annotation: ast.expr) -> str | None:
        """The full name of an annotation's type, without its parameters and without ``| None``."""
        found = self.name_of(_bare(annotation))
        return None if found is None or found.startswith("builtins.") else found

    def _take_parameters(self, function: FunctionNode) -> None:
        given = function.args
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if one is None:
                continue
            self.made_of[one.arg] = None
            if one.annotation is not None:
                self.typed[one.arg] = one.annotation
                if self.parent is not None and self.parent.type_name(one.annotation) in _CONTEXTS:
                    self.contexts.add(one.arg)

    def _take(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self._imports[alias.asname or alias.name] = f"{'.' * node.level}{node.module or ''}.{alias.name}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            self.classes[node.name] = node
        elif isinstance(node, ast.Global):
            self.globals.update(node.names)
        else:
            self._take_assignment(node)

    def _take_assignment(self, node: ast.AST) -> None:
        """Seen before the names inside it: the second sight of a name is another assignment."""
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._made(node.targets[0], node.value)
        elif isinstance(node, ast.AnnAssign):
            if isinstance(node.target, ast.Name):
                self.typed[node.target.id] = node.annotation
            self._made(node.target, node.value)
        elif isinstance(node, ast.NamedExpr):
            self._made(node.target, node.value)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._made(node.optional_vars, node.context_expr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if id(node) not in self._seen:
                self.made_of[node.id] = None
        elif isinstance(node, ast.ExceptHandler) and node.name:
            self.made_of[node.name] = None

    def _made(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self.made_of[target.id] = None if target.id in self.made_of else value
            self._seen.add(id(target))


def _bare(annotation: ast.expr) -> ast.expr:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _bare(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return annotation
    if isinstance(annotation, ast.Subscript):
        return _bare(annotation.value)
    if isinstance(annotation, ast.BinOp):
        return _bare(annotation.left)
    return annotation


def _instance(maker: str | None) -> str | None:
    """What a call gives: a thing of that name; None for what is plain data, as far as anybody can see."""
    if maker is None or maker == _DICE:
        return None
    if maker.startswith(_PATH):
        return _PATH if maker.rpartition(".")[2] in _STAYS_PATH else None
    if maker in {"pathlib.Path.cwd", "pathlib.Path.home"}:
        return _PATH
    return f"{maker}()"
