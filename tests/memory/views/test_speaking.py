"""Names are part of what was said; roles are not."""

from __future__ import annotations

import pytest

from aiosv3.memory.views.speaking import asks_about_the_asker, spoken


@pytest.mark.parametrize(
    ("speaker", "expected"),
    [("Ada", "Ada: yes"), (" Ada ", "Ada: yes"), ("user", "yes"), ("Assistant", "yes"), (None, "yes"), ("", "yes")],
)
def test_spoken(speaker: str | None, expected: str) -> None:
    assert spoken("yes", speaker) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When do I leave?", True),
        ("what I\u2019ve said", True),
        ("is it mine", True),
        ("it is in MIT", False),
        ("", False),
    ],
)
def test_asks_about_the_asker(text: str, expected: bool) -> None:
    assert asks_about_the_asker(text) is expected
