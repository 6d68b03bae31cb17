"""Hot state: what an agent works with just now, kept where it is quick, written by its owner alone."""

from aiosv3.memory.hot.errors import Fenced, HotUnavailable
from aiosv3.memory.hot.port import Add, Delete, Hot, HotState, Keep, Mark, Place, Push, Step

__all__ = ["Add", "Delete", "Fenced", "Hot", "HotState", "HotUnavailable", "Keep", "Mark", "Place", "Push", "Step"]
