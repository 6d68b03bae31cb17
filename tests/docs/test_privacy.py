"""The page about what a text gives away names every detector, with its class."""

from __future__ import annotations

from pathlib import Path

from aiosv3.prompts.scan import DETECTORS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")


def test_the_table_has_each_detector_and_its_class() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert [(row[0].strip("`"), row[-1]) for row in rows] == [(one.kind, one.clearance.label) for one in DETECTORS]
