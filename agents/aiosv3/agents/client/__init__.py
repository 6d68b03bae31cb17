"""The client: starts tasks from any process, waits for results, watches tasks, cancels them, sends them messages."""

from aiosv3.agents.client.client import Client
from aiosv3.agents.client.cursors import BadCursor
from aiosv3.agents.client.ended import Ended
from aiosv3.agents.client.errors import (
    ClientClosed,
    InvalidInput,
    NoSuchAgent,
    NoSuchPartition,
    NotFinished,
    ResultUnreadable,
)
from aiosv3.agents.client.events import Answered, Asked, Decided, Event, Finished, Gap, Progress, Started, Tokens
from aiosv3.agents.client.handle import Handle
from aiosv3.agents.client.link import Link
from aiosv3.agents.client.sending import RawJson
from aiosv3.agents.client.sync import SyncClient, SyncHandle

__all__ = [
    "Answered",
    "Asked",
    "BadCursor",
    "Client",
    "ClientClosed",
    "Decided",
    "Ended",
    "Event",
    "Finished",
    "Gap",
    "Handle",
    "InvalidInput",
    "Link",
    "NoSuchAgent",
    "NoSuchPartition",
    "NotFinished",
    "Progress",
    "RawJson",
    "ResultUnreadable",
    "Started",
    "SyncClient",
    "SyncHandle",
    "Tokens",
]
