from __future__ import annotations

import pytest

from aiosv3.agents.testing.vectors import hashed_words, nearness


def test_texts_are_near_each_other_that_share_words() -> None:
    tea, again, boats, nothing = hashed_words(["Tea is served", "served is TEA", "four boats", ""])
    assert nearness(tea, again) == pytest.approx(1.0)
    assert nearness(tea, boats) < 0.5
    assert nearness(nothing, nothing) == pytest.approx(1.0)
    assert hashed_words(["Tea is served"]) == [tea]
