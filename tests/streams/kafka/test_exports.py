"""What the package offers."""

from __future__ import annotations

from aiosv3.streams import kafka


def test_exports_are_sorted_and_there() -> None:
    assert kafka.__all__ == sorted(kafka.__all__)
    assert all(hasattr(kafka, name) for name in kafka.__all__)
