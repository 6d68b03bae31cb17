"""Secrets by name: resolved here and nowhere else, and kept out of everything that is written (design section 2).

A secret is taken out of answers as it is, escaped for JSON, percent-encoded, in base64 at any alignment, and in hex.
A server that wants to tell it in another way can: what it is given, it has. So each is given only the secrets that its
settings list.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from aiosv3.schemas.errors import AiosError
from aiosv3.tools.errors import ToolRefused

MARK: Final = "$secret"
SHORTEST: Final = 8
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_PLACE: Final = re.compile(r"\$\{([^}]*)\}")


class SecretUnusable(AiosError):
    """A secret that is not there, or cannot be kept out of answers."""


class Secrets:
    """The secrets that one server may use, by name."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        forms: dict[str, str] = {}
        for name, value in self._values.items():
            _check(name, value)
            forms.update((form, name) for form in _forms(value))
        self._names = forms
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def reveal(self, value: Any) -> Any:
        """Arguments with ``{"$secret": name}`` replaced. Raises ToolRefused for a name that the server may not use."""
        if isinstance(value, dict):
            if value.keys() == {MARK}:
                return self._value(value[MARK])
            return {key: self.reveal(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.reveal(item) for item in value]
        return value

    def fill(self, text: str) -> str:
        """``Bearer ${crm-token}`` with the secret in its place, for headers and environments of servers."""
        return _PLACE.sub(lambda match: self._value(match[1]), text)

    def _value(self, name: Any) -> str:
        found = self._values.get(name) if isinstance(name, str) else None
        if found is None:
            raise ToolRefused(f"this server may not use a secret {str(name)[:80]!r}: its settings do not list it")
        return found

    def scrub(self, value: Any) -> Any:
        """A JSON value without secrets in its strings, keys and numbers."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.scrub_text(value)
        if isinstance(value, dict):
            return {self.scrub_text(str(key)): self.scrub(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.scrub(item) for item in value]
        if isinstance(value, (int, float)) and self._pattern.search(repr(value)):
            return self.scrub_text(repr(value))
        return value

    def scrub_text(self, text: str) -> str:
        """``text`` with ``[secret NAME]`` where a secret stood."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: f"[secret {self._names[match[0]]}]", text)


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise SecretUnusable(f"secret {name!r}: lower-case letters, digits and hyphens only")
    if len(value) < SHORTEST:
        raise SecretUnusable(
            f"secret {name} is shorter than {SHORTEST} characters: it could not be kept out of answers"
        )


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield from (value, quote(value, safe=""), quote(value), quote_plus(value), raw.hex(), raw.hex().upper())
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    for before in range(3):
        # What stands before a secret shifts its base64; the characters that it shares with its neighbours are left out.
        encoded = base64.b64encode(b"\0" * before + raw)
        first = -(-before * 8 // 6)
        middle = encoded[first : (before + len(raw)) * 8 // 6].decode()
        yield from (middle, middle.replace("+", "-").replace("/", "_"))
