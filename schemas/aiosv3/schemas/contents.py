"""The content of an envelope: a union of null, the record of somebody's own type, and bytes when it is sealed."""

from __future__ import annotations

from typing import Any, Final

from aiosv3.schemas.derive import Derived
from aiosv3.schemas.errors import MalformedValue

NULLABLE: Final = ["null", "string"]


def tagged(tag: str, value: Any) -> tuple[str, Any] | None:
    """A value of a union of null and one other type, as fastavro writes it without trying branches."""
    return None if value is None else (tag, value)


def branch_of(derived: Derived, value: Any, sealed: bytes | None, *, empty: bool) -> Any:
    """The content's branch. ``empty``: None is a value of the type, not the absence of one."""
    if sealed is not None:
        if value is not None:
            raise MalformedValue("an envelope holds either plain or sealed content, not both")
        return "bytes", sealed
    if value is None and not empty:
        return None
    try:
        return derived.name, derived.to_datum(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise MalformedValue(f"the content is no {derived.name}: {error}") from error


def opened(derived: Derived, datum: Any) -> tuple[Any, bytes | None]:
    """``(value, sealed bytes)``, one of them at most. Raises :class:`MalformedValue`."""
    if datum is None:
        return None, None
    return (None, datum) if isinstance(datum, bytes) else (derived.from_datum(datum), None)


def described(name: str, kind: Any, doc: str, **default: Any) -> dict[str, Any]:
    """A field of a record schema; ``default=`` where it has one."""
    return {"name": name, "type": kind, "doc": doc, **default}


def content_fields(derived: Derived, words: str) -> list[dict[str, Any]]:
    """The content and the key that it is sealed with."""
    sealed = "Identifier of the key that the content is sealed with; null when the content is plain."
    union = ["null", derived.schema, "bytes"]
    plain = f"{words}: a record when plain, bytes when sealed, null when there is none."
    return [
        described("content", union, plain, default=None),
        described("content_key_id", NULLABLE, sealed, default=None),
    ]
