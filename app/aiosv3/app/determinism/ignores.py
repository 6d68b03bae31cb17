"""``# aios: ignore[rule]``: a finding that somebody has looked at."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from aiosv3.app.determinism.findings import Finding
from aiosv3.app.determinism.rules import BY_ID

_COMMENT: Final = re.compile(r"#\s*aios:\s*ignore(?:\[([^\]]*)\])?")


def ignores_in(text: str) -> dict[int, set[str]]:
    """Line -> the rules that a comment there switches off; a comment that names none switches off none."""
    found: dict[int, set[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (comment := _COMMENT.search(token.string)) is not None:
            named = {name.strip() for name in (comment[1] or "").split(",")}
            found[token.start[0]] = {name for name in named if name} or {""}
    return found


def left(
    file: str, findings: Iterable[Finding], ignores: Mapping[int, set[str]], module: ast.Module
) -> Iterator[Finding]:
    """The findings that no comment in their statement's lines names, and the comments that name nothing."""
    used: set[tuple[int, str]] = set()
    for one in findings:
        lines = _lines(one, module)
        hiding = {(line, one.rule) for line in lines if one.rule in ignores.get(line, ())}
        used |= hiding
        if not hiding:
            yield one
    for line, rules in ignores.items():
        for rule in sorted(rules):
            if (line, rule) not in used:
                yield Finding(file, line, 1, "unused-ignore", _useless(rule))


def _useless(rule: str) -> str:
    if not rule:
        return "# aios: ignore hides nothing: it must name a rule, as in # aios: ignore[clock]"
    if rule not in BY_ID:
        return f"# aios: ignore[{rule}] hides nothing: there is no such rule"
    return f"# aios: ignore[{rule}] hides nothing"


def _lines(one: Finding, module: ast.Module) -> range:
    """The lines of the innermost statement around a finding, without the body of a compound one."""
    best = range(one.line, one.last_line + 1)
    for node in ast.walk(module):
        if not isinstance(node, ast.stmt) or not node.lineno <= one.line <= (node.end_lineno or node.lineno):
            continue
        body = getattr(node, "body", None)
        if not body:
            best = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return range(best.start, best.stop) if one.rule != "swallow" else range(one.line, one.line + 1)
