from __future__ import annotations

import aiosv3.router


def test_all_is_sorted_and_there() -> None:
    assert sorted(aiosv3.router.__all__) == list(aiosv3.router.__all__)
    assert all(hasattr(aiosv3.router, name) for name in aiosv3.router.__all__)
