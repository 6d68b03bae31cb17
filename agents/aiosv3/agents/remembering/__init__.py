"""Memory by models: conversations with summaries, facts out of what is said, searches that a model helps with."""

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
