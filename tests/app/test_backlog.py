"""What is counted as unfinished; on a real broker: tests/app/commands/test_agents.py."""

from __future__ import annotations

import pytest

from aiosv3.app.backlog import unfinished
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Bounds, Committed


@pytest.mark.parametrize(
    ("bounds", "committed", "count"),
    [
        ({0: Bounds(0, 5)}, {}, 5),
        ({0: Bounds(2, 5)}, {}, 3),
        ({0: Bounds(0, 5)}, {0: Commit(5).encode()}, 0),
        ({0: Bounds(0, 9)}, {0: Commit(3, completed=(5, 6)).encode()}, 4),
        ({0: Bounds(0, 9), 1: Bounds(0, 2)}, {0: Commit(9).encode()}, 2),
        ({0: Bounds(4, 9)}, {0: Commit(1, completed=(2, 5)).encode()}, 4),
        ({0: Bounds(0, 9)}, {0: Committed(3, "reset by an operator")}, 6),
        ({0: Bounds(0, 9)}, {0: Committed(3, "99|x")}, 6),
        ({0: Bounds(0, 3)}, {0: Commit(5).encode()}, 0),
    ],
)
def test_what_no_commit_says_to_be_finished(
    bounds: dict[int, Bounds], committed: dict[int, Committed], count: int
) -> None:
    assert unfinished(bounds, committed) == count
