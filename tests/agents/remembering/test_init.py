from __future__ import annotations

import pytest

import aiosv3.agents.remembering as remembering


def test_all_is_sorted_and_there() -> None:
    assert sorted(remembering.__all__) == list(remembering.__all__)
    assert all(hasattr(remembering, name) for name in remembering.__all__)


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = remembering.nothing
