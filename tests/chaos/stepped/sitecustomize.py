"""A wall clock that can be stepped from outside, for the processes that have this folder first on their path.

``$CHAOS_CLOCK`` names a file of eight bytes: what is to be added, in nanoseconds. The monotonic clock is left alone, as
a step of a real clock leaves it.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

with open(os.environ["CHAOS_CLOCK"], "rb") as _file:  # noqa: PTH123 -- nothing more than needed: every process runs this
    _added = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_real = time.time_ns


def _now_ns() -> int:
    return _real() + int(struct.unpack("<q", _added[:8])[0])


def _now() -> float:
    return _now_ns() / 1e9


time.time_ns = _now_ns
time.time = _now
