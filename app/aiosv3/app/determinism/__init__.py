"""Finds what a replay of an agent could not repeat, by reading its source: nothing is imported or run."""

from aiosv3.app.determinism.checking import check_source
from aiosv3.app.determinism.findings import Finding
from aiosv3.app.determinism.rules import RULES, Rule, Severity
from aiosv3.app.determinism.sources import check_file, python_files
from aiosv3.app.determinism.units import agents_in

__all__ = ["RULES", "Finding", "Rule", "Severity", "agents_in", "check_file", "check_source", "python_files"]
