"""Tests of agents: the production worker on an in-memory Kafka, in virtual time, killed after every record."""

from aiosv3.agents.testing.errors import (
    CrashChanged,
    MeshFailure,
    NeverFinishes,
    NotScripted,
    TaskFailed,
    TaskStuck,
)
from aiosv3.agents.testing.mesh import Handle, MeshTest
from aiosv3.agents.testing.prompt import Prompt
from aiosv3.agents.testing.scripts import NEVER, Script
from aiosv3.agents.testing.vectors import Embed, hashed_words

__all__ = [
    "NEVER",
    "CrashChanged",
    "Embed",
    "Handle",
    "MeshFailure",
    "MeshTest",
    "NeverFinishes",
    "NotScripted",
    "Prompt",
    "Script",
    "TaskFailed",
    "TaskStuck",
    "hashed_words",
]
