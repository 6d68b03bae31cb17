"""Why a tool call has no answer.

AiosError
└── ToolError              becomes a failed step: ToolFailed, with these words; ``retryable``: another try may do
    ├── ToolRefused        the server or the tool says no; or the arguments, or a secret in them, are not allowed
    ├── ToolTimeout        no answer within the time that the settings allow
    ├── ServerUnavailable  the server cannot be started or reached, or went away in the middle
    ├── AnswerTooLarge     cut off while it was read
    └── AnswerMalformed    not what the protocol, or the tool's own output schema, says
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class ToolError(AiosError):
    """A call without an answer. ``calls``: how often the server was asked by then."""

    retryable = False

    def __init__(self, message: str, *, calls: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.calls = calls


class ToolRefused(ToolError):
    """The tool answered that it will not, or the call may not be made."""


class ToolTimeout(ToolError):
    """Too slow. Whether the tool did anything is unknown."""

    retryable = True


class ServerUnavailable(ToolError):
    """Not there, or gone. Whether the tool did anything is unknown if it went in the middle of a call."""

    retryable = True


class AnswerTooLarge(ToolError):
    """More bytes than the zone takes; the rest was not read."""


class AnswerMalformed(ToolError):
    """Bytes that are no answer, or an answer that is not of the declared shape."""
