"""What a check has found, and where."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from aiosv3.app.determinism.rules import BY_ID, Rule


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """``line`` and ``column`` count from 1; ``last_line`` is where the code that it is about ends."""

    file: str
    line: int
    column: int
    rule: str
    message: str
    function: str = ""
    last_line: int = 0
    better: str = ""
    """What to write instead, where that is not what the rule says."""

    @property
    def of(self) -> Rule:
        """Its rule."""
        return BY_ID[self.rule]

    @property
    def instead(self) -> str:
        """What to write instead."""
        return self.better or self.of.instead

    def text(self) -> str:
        """One line, as compilers write it: an editor jumps to its place."""
        kind = self.of.severity.value
        return f"{self.file}:{self.line}:{self.column}: {kind}[{self.rule}] {self.message}; instead: {self.instead}"

    def datum(self) -> dict[str, Any]:
        """What ``--json`` prints; stable."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "severity": self.of.severity.value,
            "message": self.message,
            "instead": self.instead,
            "function": self.function,
        }


def finding(file: str, node: ast.AST, rule: str, message: str, function: str = "", better: str = "") -> Finding:
    """A finding about ``node``."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    return Finding(file, line, column, rule, message, function, getattr(node, "end_lineno", None) or line, better)
