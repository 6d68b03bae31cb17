"""Memory by models: conversations with summaries, facts out of what is said, searches that a model helps with."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiosv3.agents.remembering.asking import Model
    from aiosv3.agents.remembering.dialogue import Dialogue
    from aiosv3.agents.remembering.extraction import Candidate, Candidates, Decision, Decisions, Learned
    from aiosv3.agents.remembering.searching import Expand, Queries, Ranks, Rerank
    from aiosv3.agents.remembering.summaries import Summary
    from aiosv3.agents.remembering.turns import Turn, Window

__all__ = [
    "Candidate",
    "Candidates",
    "Decision",
    "Decisions",
    "Dialogue",
    "Expand",
    "Learned",
    "Model",
    "Queries",
    "Ranks",
    "Rerank",
    "Summary",
    "Turn",
    "Window",
]

_NAMES = {
    "asking": ("Model",),
    "dialogue": ("Dialogue",),
    "extraction": ("Candidate", "Candidates", "Decision", "Decisions", "Learned"),
    "searching": ("Expand", "Queries", "Ranks", "Rerank"),
    "summaries": ("Summary",),
    "turns": ("Turn", "Window"),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}
"""Loaded when first used: a worker whose agent has no such memory starts without it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
