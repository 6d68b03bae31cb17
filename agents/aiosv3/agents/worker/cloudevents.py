"""CloudEvents in structured mode: an event that is one JSON document, read as if its parts were headers and value."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import MalformedValue
from aiosv3.streams.log import Record

STRUCTURED: Final = b"application/cloudevents+json"
_DATA: Final = frozenset({"data", "data_base64", "datacontenttype"})
_TRACING: Final = frozenset({names.TRACEPARENT, "tracestate"})


def unfolded(record: Record) -> Record:
    """The same event in binary mode (CloudEvents 1.0, Kafka binding, 3.2 and 3.3); one that is not structured as it is.

    An attribute of the document goes before a header of that name. Raises MalformedValue.
    """
    kind = record.header(names.CONTENT_TYPE)
    if kind is None or not kind.lower().startswith(STRUCTURED):
        return record
    document = _document(record.value)
    headers = [header for header in record.headers if header[0] != names.CONTENT_TYPE]
    headers.append((names.CONTENT_TYPE, str(document.get("datacontenttype", names.CONTENT_JSON)).encode()))
    for name, value in document.items():
        if name not in _DATA and value is not None:
            headers.append((name if name in _TRACING else f"ce_{name}", _text(name, value)))
    return record._replace(headers=headers, value=_data(document))


def _document(value: bytes | None) -> dict[str, Any]:
    try:
        document = json.loads(value or b"")
    except ValueError as error:
        raise MalformedValue(f"the value is no CloudEvent: it is not JSON: {error}") from None
    if not isinstance(document, dict) or "specversion" not in document:
        raise MalformedValue(
            'the value is no CloudEvent: it must be a JSON object with specversion, id, source, type and "data"'
        )
    return document


def _text(name: str, value: Any) -> bytes:
    """Attributes are strings, numbers or booleans (CloudEvents 1.0, JSON format, 2.2)."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str | int | float):
        return str(value).encode()
    raise MalformedValue(f"the value is no CloudEvent: its attribute {name} is neither text nor a number")


def _data(document: dict[str, Any]) -> bytes | None:
    encoded = document.get("data_base64")
    if encoded is None:
        return json.dumps(document["data"], ensure_ascii=False).encode() if "data" in document else None
    try:
        return base64.b64decode(str(encoded), validate=True)
    except ValueError:
        raise MalformedValue("the value is no CloudEvent: data_base64 is not Base64") from None
