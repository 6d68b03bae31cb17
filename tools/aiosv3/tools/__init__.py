"""Tool workers: tools called where their credentials are, by servers that nobody has to trust."""

from aiosv3.tools.errors import (
    AnswerMalformed,
    AnswerTooLarge,
    ServerUnavailable,
    ToolError,
    ToolRefused,
    ToolTimeout,
)
from aiosv3.tools.secret import Secrets, SecretUnusable
from aiosv3.tools.served import Done, ServedTools
from aiosv3.tools.server import ToolCall, ToolServer, ToolSpec
from aiosv3.tools.worker import ToolWorker
from aiosv3.tools.zones import ServerPolicy, Zone

__all__ = [
    "AnswerMalformed",
    "AnswerTooLarge",
    "Done",
    "SecretUnusable",
    "Secrets",
    "ServedTools",
    "ServerPolicy",
    "ServerUnavailable",
    "ToolCall",
    "ToolError",
    "ToolRefused",
    "ToolServer",
    "ToolSpec",
    "ToolTimeout",
    "ToolWorker",
    "Zone",
]
