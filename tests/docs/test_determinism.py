"""docs/determinism.md lists the rules of the check, each with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiosv3.app.determinism import RULES, Severity, check_source

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "determinism.md").read_text(encoding="utf-8")


def test_the_table_has_every_rule_as_it_is() -> None:
    rows = [
        tuple(cell.strip() for cell in row.split(" | ")) for row in re.findall(r"^\| (`.+) \|$", PAGE, re.MULTILINE)
    ]
    expected = [
        (
            f"`{rule.id}`" + (" (warning)" if rule.severity is Severity.WARNING else ""),
            rule.example,
            rule.finds,
            rule.instead,
        )
        for rule in RULES
    ]
    assert rows == expected, "\n".join(f"| {' | '.join(row)} |" for row in expected)


def test_its_first_example_is_found_as_shown_and_its_second_is_not() -> None:
    wrong, right = re.findall(r"^```python\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shown = re.findall(r"^support\.py:.+$", PAGE, re.MULTILINE)
    assert shown == [one.text() for one in check_source(wrong, "support.py")]
    assert check_source(right, "right.py") == []
