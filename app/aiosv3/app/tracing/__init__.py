"""What happened to a task, from all topics: which records are its own, and the tree that they tell of."""

from aiosv3.app.tracing.building import build
from aiosv3.app.tracing.collecting import Row, collect, row_of
from aiosv3.app.tracing.drawing import Drawing
from aiosv3.app.tracing.locating import Event, Wanted, event_of, ranges, traced_topics
from aiosv3.app.tracing.membership import Membership, id_of
from aiosv3.app.tracing.nodes import Attempt, Happened, Spent, Step, Task

__all__ = [
    "Attempt",
    "Drawing",
    "Event",
    "Happened",
    "Membership",
    "Row",
    "Spent",
    "Step",
    "Task",
    "Wanted",
    "build",
    "collect",
    "event_of",
    "id_of",
    "ranges",
    "row_of",
    "traced_topics",
]
