"""The error tree of the distribution. The type says what happens next.

    AiosError
    ├── WireError              bytes that nobody can read: dead letter, at once
    │   ├── MalformedHeader
    │   ├── MalformedValue
    │   └── UnknownSchema
    ├── RegistryUnavailable    try again later: the partition waits, nothing is dropped
    └── IncompatibleSchema     a start is refused; names the field and the rule

Other packages add their own branches under ``AiosError`` (for example ``aiosv3.streams.errors``).
"""

from __future__ import annotations


class AiosError(Exception):
    """Root of every error that this distribution raises on purpose."""


class WireError(AiosError):
    """Bytes on a topic that cannot be read, now or later. Retrying does not help."""


class MalformedHeader(WireError):
    """A header is missing, is not what its format says, or is out of range."""


class MalformedValue(WireError):
    """A value is not Confluent-framed Avro (or JSON where JSON is taken), or does not fit its schema."""


class UnknownSchema(WireError):
    """The registry answered: there is no schema with this id."""


class RegistryUnavailable(AiosError):
    """No answer from the schema registry. Not the same as an unknown schema: wait and ask again."""


class IncompatibleSchema(AiosError):
    """A new schema breaks readers of a released one. Carries ``subject``, ``field`` and ``rule``."""

    def __init__(self, subject: str, field: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject
        self.field = field
        self.rule = rule
