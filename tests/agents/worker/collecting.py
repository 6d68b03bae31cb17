"""What tasks leave to Python's collector."""

from __future__ import annotations

import gc
from collections.abc import Callable


def left_by_twenty(work: Callable[[list[str]], None]) -> int:
    """``work`` does one task, then 21, of the ids given: how many more objects in cycles the 21 leave than the one."""
    left: list[int] = []
    for turn, count in enumerate((1, 21)):
        gc.collect()
        gc.disable()
        try:
            work([f"t{turn}-{number}" for number in range(count)])
            left.append(gc.collect())
        finally:
            gc.enable()
    return left[1] - left[0]
