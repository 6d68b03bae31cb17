"""Golden tasks: inputs of an agent, and what must come of them. One JSON object a line (docs/evaluation.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiosv3.app.settings import SettingsError
from aiosv3.schemas.records import Outcome

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_PART: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(-?\d+)\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_FIELDS: Final = frozenset({"id", "input", "expect", "key"})
_SHOWN: Final = 120
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended. ``error``: type and message of its failure."""

    outcome: Outcome
    output: Any = None
    error: tuple[str, str] | None = None


Check: TypeAlias = Callable[[Any], str | None]
"""Says what is wrong with an output; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Golden:
    """``fails``: the type of the error that the task must end with; then there is no output to check."""

    line: int
    id: str
    input: Any
    checks: tuple[Check, ...]
    fails: str | None = None
    key: str | None = None

    def complaint(self, ended: Ended) -> str | None:
        """Why the task did not pass; None where it did."""
        kind, message = ended.error or ("", "")
        if ended.outcome is not Outcome.OK:
            failed = f"{ended.outcome.value}: {kind}: {message}"
            return None if self.fails is not None and self.fails == kind else _short(failed)
        if self.fails is not None:
            return f"expected it to fail with {self.fails}, got {_shown(ended.output)}"
        return next((wrong for check in self.checks if (wrong := check(ended.output)) is not None), None)


class _Wrong(Exception):
    """What is wrong with a line."""


def read_golden(text: str, name: str) -> list[Golden]:
    """The golden tasks of a file; empty lines are passed over. Raises :class:`SettingsError` naming every bad line."""
    found: dict[str, Golden] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            golden = _golden(line, number)
        except _Wrong as error:
            wrong.append(f"{name}, line {number}: {error}")
            continue
        if golden.id in found:
            wrong.append(f"{name}, line {number}: id {golden.id!r} is in line {found[golden.id].line} too")
        found[golden.id] = golden
    if not found and not wrong:
        wrong.append(f"{name} holds no golden task")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return list(found.values())


def _golden(line: str, number: int) -> Golden:
    try:
        datum = json.loads(line)
    except ValueError as error:
        raise _Wrong(f"this is not JSON: {error}") from None
    if not isinstance(datum, dict):
        raise _Wrong('a golden task is an object: {"id": …, "input": …, "expect": …}')
    if missing := sorted({"id", "input", "expect"} - datum.keys()):
        raise _Wrong(f"{', '.join(missing)} is missing")
    if unknown := sorted(datum.keys() - _FIELDS):
        raise _Wrong(f"unknown field {', '.join(map(repr, unknown))}: a golden task has id, input, expect and key")
    key = datum.get("key")
    if not isinstance(datum["id"], str) or not _ID.match(datum["id"]):
        raise _Wrong("id must be text of letters, digits, '.', '_' and '-', at most 100")
    if key is not None and not isinstance(key, str):
        raise _Wrong("key must be text")
    fails, checks = _expectation(datum["expect"])
    return Golden(number, datum["id"], datum["input"], checks, fails, key)


def _expectation(expect: Any) -> tuple[str | None, tuple[Check, ...]]:
    """An object of checks, or the very value."""
    if not isinstance(expect, dict) or not any(_is_check(name) for name in expect):
        return None, (_equals(expect),)
    if strangers := sorted(name for name in expect if not _is_check(name)):
        raise _Wrong(
            f"expect mixes checks with {', '.join(map(repr, strangers))}: "
            'if that is the output itself, write {"equals": …}'
        )
    if "fails" in expect:
        if len(expect) > 1 or not isinstance(expect["fails"], str):
            raise _Wrong('"fails" stands alone and names an error type, such as "BudgetExceeded"')
        return expect["fails"], ()
    return None, tuple(_check(name, wanted) for name, wanted in expect.items())


def _is_check(name: str) -> bool:
    return name in _CHECKS or name == "fails" or name.startswith("$")


def _check(name: str, wanted: Any) -> Check:
    return _CHECKS[name](wanted) if name in _CHECKS else _at(name, wanted)


def _equals(wanted: Any) -> Check:
    return lambda output: None if _same(output, wanted) else f"expected {_shown(wanted)}, got {_shown(output)}"


def _contains(wanted: Any) -> Check:
    parts = wanted if isinstance(wanted, list) else [wanted]
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise _Wrong('"contains" takes a text or a list of texts')

    def check(output: Any) -> str | None:
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        missing = [part for part in parts if part not in text]
        return f"expected {_shown(missing[0])} in it, got {_shown(output)}" if missing else None

    return check


def _schema(wanted: Any) -> Check:
    from jsonschema import Draft202012Validator, SchemaError

    if not isinstance(wanted, (dict, bool)):
        raise _Wrong('"schema" takes a JSON Schema: an object')
    try:
        Draft202012Validator.check_schema(wanted)
    except SchemaError as error:
        raise _Wrong(f'"schema" is no JSON Schema: {error.message}') from None
    validator = Draft202012Validator(wanted)

    def check(output: Any) -> str | None:
        error = next(validator.iter_errors(output), None)
        return None if error is None else _short(f"{error.json_path}: {error.message}")

    return check


_CHECKS: Final[Mapping[str, Callable[[Any], Check]]] = {"equals": _equals, "contains": _contains, "schema": _schema}


def _at(path: str, wanted: Any) -> Check:
    steps = list(_steps(path))

    def check(output: Any) -> str | None:
        found = output
        for step in steps:
            found = _inside(found, step)
        if found is _ABSENT:
            return f"{path}: expected {_shown(wanted)}, but there is nothing in {_shown(output)}"
        return None if _same(found, wanted) else f"{path}: expected {_shown(wanted)}, got {_shown(found)}"

    return check


def _steps(path: str) -> Iterator[str | int]:
    """Names and indices of ``$.a["b c"][0]``: the part of JSONPath that names one place."""
    position = 1
    while position < len(path):
        match = _PART.match(path, position)
        if match is None:
            raise _Wrong(f'{path!r} is no path at {path[position:]!r}: write $.name, $[0] or $["a name"]')
        name, index, quoted = match.groups()
        yield int(index) if index is not None else name if name is not None else str(json.loads(f'"{quoted}"'))
        position = match.end()


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value[step] if isinstance(value, list) and -len(value) <= step < len(value) else _ABSENT


def _same(left: Any, right: Any) -> bool:
    """JSON equality: 1 is 1.0 but not true."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _shown(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False, default=str))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
