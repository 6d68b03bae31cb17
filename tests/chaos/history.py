"""What clients and faults did, one JSON line each, in the order in which it was seen."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any


def now_ms() -> int:
    """Wall clock, in milliseconds since the epoch: the broker's is the same machine's."""
    return time.time_ns() // 1_000_000


class History:
    """Appends to a file; safe from several threads. What is written survives the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, kind: str, **facts: Any) -> None:
        """One event. ``kind``: sent, acked, unknown, seen, fault or note."""
        line = json.dumps({"at": now_ms(), "kind": kind, **facts}, ensure_ascii=False)
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def fault(self, words: str) -> None:
        """Something was done to the system."""
        self.write("fault", what=words)

    def close(self) -> None:
        """Later events are not written any more."""
        with self._lock:
            self._file.close()


def read_history(path: Path) -> list[dict[str, Any]]:
    """The events of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
