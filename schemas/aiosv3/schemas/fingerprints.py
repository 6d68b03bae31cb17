"""When are two schemas the same schema, and which id gets one that no registry has numbered."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]
"""An Avro schema, decoded from JSON. At the top of a value there is always a record, hence an object."""

FIRST_MINTED: Final = 1_200_000_000
LAST_MINTED: Final = 1_900_000_000
_SPAN: Final = LAST_MINTED - FIRST_MINTED


def fingerprint(schema: Schema) -> str:
    """SHA-256 of the schema without its documentation; order of keys does not count, all else does."""
    text = json.dumps(_without_docs(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def minted_id(schema: Schema) -> int:
    """The same id for the same schema on every machine, in a range that no registry counts up to."""
    return FIRST_MINTED + int(fingerprint(schema)[:16], 16) % _SPAN


def _without_docs(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_docs(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: value if key == "default" else _without_docs(value) for key, value in node.items() if key != "doc"}
