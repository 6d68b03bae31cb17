from __future__ import annotations

import aiosv3.app.localstack as package


def test_all_is_sorted_and_there() -> None:
    assert package.__all__ == sorted(set(package.__all__))
    assert all(hasattr(package, name) for name in package.__all__)
