"""Models that do what is asked of them by rule, so that a test can count what they were shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aiosv3.agents.testing import Prompt

Rows = list[dict[str, Any]]


def shown(prompt: Prompt) -> Rows:
    """The material of a prompt of memory."""
    return [json.loads(line) for line in str(prompt).splitlines() if line.startswith("{")]


def summary_or_answer(prompt: Prompt) -> str:
    """A summary is the texts that went into it, in order; an answer is ``re-`` and the last word of the question."""
    if not (prompt.system or "").startswith("You keep the summary"):
        return f"re-{prompt.text.split()[-1]}"
    words: list[str] = []
    for row in shown(prompt):
        words += row["summary"].split() if "summary" in row else [row["text"]]
    return " ".join(words)


@pytest.fixture
def rows() -> Callable[[Prompt], Rows]:
    return shown


@pytest.fixture
def by_rule() -> Callable[[Prompt], str]:
    return summary_or_answer
