"""Typed Python for the tools of a server: a TypedDict for each object of its schemas, a ``Tool`` for each tool.

The same schemas give the same text. It passes ``mypy --strict``, and ``ruff format`` leaves it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from aiosv3.app.stubtypes import Names, Types, pascal, snake
from aiosv3.tools import ToolSpec

_WIDTH = 80
_TYPING = ("Any", "Literal", "NotRequired")
_EXTENSIONS = ("TypedDict", "Unpack")


def module_of(zone: str, server: str, specs: Sequence[ToolSpec]) -> str:
    """The module for one server."""
    names = Names()
    ordered = sorted(specs, key=lambda spec: spec.name)
    functions = [(spec, names.take(snake(spec.name))) for spec in ordered]
    blocks: list[str] = []
    used: set[str] = set()
    tools = [_tool(zone, server, spec, function, Types(names, blocks, used)) for spec, function in functions]
    head = f'"""Tools of {zone}/{server}, written by ``aiosv3 stubs``: do not edit."""\n'
    if not tools:
        return head
    imports = [
        "from __future__ import annotations\n",
        _imported("typing", used & set(_TYPING)),
        _imported("typing_extensions", used & set(_EXTENSIONS)),
        "from aiosv3.agents import tool\n",
    ]
    return head + "\n" + "\n".join(filter(None, imports)) + "".join(f"\n\n{block}" for block in [*blocks, *tools])


def _imported(module: str, names: Iterable[str]) -> str:
    found = ", ".join(sorted(names))
    return f"from {module} import {found}\n" if found else ""


def _tool(zone: str, server: str, spec: ToolSpec, function: str, types: Types) -> str:
    arguments = types.arguments(spec.input_schema, f"{pascal(spec.name)}Input")
    answer = types.answer(spec.output_schema, f"{pascal(spec.name)}Output")
    lines = ["@tool(", *(f"    {json.dumps(part, ensure_ascii=False)}," for part in (zone, server, spec.name))]
    if spec.repeatable:
        lines.append("    idempotent=True,")
    if arguments:
        lines += [")", f"def {function}(", f"    {arguments},", f") -> {answer}:"]
    else:
        lines += [")", f"def {function}() -> {answer}:"]
    return "\n".join([*lines, *docstring(spec.description), "    raise NotImplementedError", ""])


def docstring(text: str) -> list[str]:
    """The lines of a docstring inside a function or class; none for no text."""
    words = text.replace("\\", "\\\\").replace('"""', "'''").split()
    if not words:
        return []
    lines, line = list[str](), "    "
    for word in words:
        if len(line) + len(word) > _WIDTH and line.strip():
            lines.append(line.rstrip())
            line = "    "
        line += f"{word} "
    lines.append(line.rstrip())
    lines[0] = f'    """{lines[0].strip()}'
    quoted = lines[-1].endswith('"') and lines[-1] != '    """'
    if len(lines) == 1:
        return [f'{lines[0][:-1]}\'"""' if quoted else f'{lines[0]}"""']
    return [*lines, '    """']
