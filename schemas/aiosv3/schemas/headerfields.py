"""Reading the JSON of a mesh header: strict about types and ranges, deaf to keys that it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from pydantic_core import from_json

from aiosv3.schemas.errors import MalformedHeader

VERSION: Final = 1
"""Of all three headers: the value of their ``"v"``."""
INT: Final = 2**31 - 1
_LONG: Final = 2**63 - 1
_SHOWN: Final = 80
_T = TypeVar("_T")
_absent: Final = object()
encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""As all three headers are written."""


class HeaderFields:
    """A decoded header, read field by field.

    A nullable field that is absent is null; any other must be there.
    """

    __slots__ = ("_fields", "_header")

    def __init__(self, header: str, value: bytes) -> None:
        self._header = header
        try:
            fields = from_json(value, cache_strings="keys")
        except ValueError as error:
            raise MalformedHeader(f"{header} is not UTF-8 JSON ({error}): {_shown(value)}") from error
        if type(fields) is not dict:
            raise MalformedHeader(f"{header} is not a JSON object: {_shown(value)}")
        self._fields: dict[str, Any] = fields
        version = fields.get("v", _absent)
        if type(version) is not int or version < 1:
            raise self._error("v", version, f"must be {VERSION}")
        if version > VERSION:
            raise self._error("v", version, f"is newer than the version {VERSION} that this release reads: upgrade it")

    def text(self, name: str, *, empty: bool = False) -> str:
        value = self._fields.get(name, _absent)
        if type(value) is str and (value or empty):
            return value
        raise self._error(name, value, "must be a string" if empty else "must be a string that is not empty")

    def optional_text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is None or type(value) is str:
            return value
        raise self._error(name, value, "must be a string or null")

    def integer(self, name: str, least: int = 0, most: int = _LONG) -> int:
        value = self._fields.get(name, _absent)
        if type(value) is int and least <= value <= most:
            return value
        raise self._error(name, value, f"must be a whole number from {least} to {most}")

    def optional_integer(self, name: str, most: int = _LONG) -> int | None:
        value = self._fields.get(name)
        if value is None or (type(value) is int and 0 <= value <= most):
            return value
        raise self._error(name, value, f"must be null or a whole number from 0 to {most}")

    def texts(self, name: str, *, absent_is_empty: bool = False) -> tuple[str, ...]:
        value = self._fields.get(name, [] if absent_is_empty else _absent)
        if type(value) is list and (not value or all(type(item) is str for item in value)):
            return tuple(value)
        raise self._error(name, value, "must be a list of strings")

    def share_or_auto(self, name: str) -> float | Literal["auto"]:
        """A number from 0 to 1, or ``"auto"``."""
        value = self._fields.get(name, _absent)
        if value == "auto":
            return "auto"
        if (type(value) is float or type(value) is int) and 0 <= value <= 1:
            return float(value)
        raise self._error(name, value, 'must be "auto" or a number from 0 to 1')

    def parsed(self, name: str, parse: Callable[[str], _T], kind: str) -> _T:
        """Text that ``parse`` takes, which raises ValueError in words otherwise."""
        value = self._fields.get(name, _absent)
        if type(value) is str:
            try:
                return parse(value)
            except ValueError as error:
                raise self._error(name, value, str(error)) from error
        raise self._error(name, value, f"must be {kind}, as text")

    def _error(self, name: str, value: object, rule: str) -> MalformedHeader:
        found = "it is absent" if value is _absent else f"it is {_shown(value)}"
        return MalformedHeader(f"{self._header}: {name} {rule}; {found}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
