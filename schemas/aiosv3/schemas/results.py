"""Results as bytes: what all results have by compiled code, and only the agent's own type through fastavro.

The same bytes as fastavro makes of the whole (``tests/schemas/test_results.py``), at half of its cost.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import fastavro

from aiosv3.schemas.compiled import compile_fields
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.parsed import parse
from aiosv3.schemas.twins import named_types

if TYPE_CHECKING:
    from aiosv3.schemas.envelope import ResultEnvelope

_CONTENT: Final = "content"
_NULL: Final = b"\0"
_PLAIN: Final = b"\2"
_SEALED: Final = b"\4"
"""Branches of the content's union."""


class ResultWriter:
    """For results without a state. ``schema``: that of the result; ``content``: that of its plain content."""

    __slots__ = ("_content", "_head", "_sealed", "_tail")

    def __init__(self, schema: Schema, content: Schema) -> None:
        fields, named = schema["fields"], named_types(schema)
        place = [field["name"] for field in fields].index(_CONTENT)
        self._head = compile_fields(fields[:place], named)
        self._tail = compile_fields(fields[place + 1 :], named)
        self._sealed = compile_fields([{"name": "sealed", "type": "bytes"}], named)
        self._content: Any = parse(content)

    def write(self, begin: bytes, result: ResultEnvelope[Any], content: tuple[str, Any] | None) -> bytes:
        """The value; ``begin``: its framing, ``content``: the branch and its data. Raises what fastavro raises."""
        parts = [begin]
        out = parts.append
        self._head(result, out)
        if content is None:
            out(_NULL)
        elif result.sealed is not None:
            out(_SEALED)
            self._sealed(result, out)
        else:
            out(_PLAIN)
            buffer = BytesIO()
            fastavro.schemaless_writer(buffer, self._content, content[1])
            out(buffer.getvalue())
        self._tail(result, out)
        return b"".join(parts)
