"""The classes of the fixed records by name, whichever module defines them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from aiosv3.schemas import deltas, keys, memory, money, people, policies, records, tooling

MODULES: Final[tuple[ModuleType, ...]] = (records, people, tooling, deltas, money, policies, memory, keys)
"""Every module with twins of ``.avsc`` files."""


def class_named(name: str) -> Any:
    """The twin of the schema ``name``. Raises KeyError where there is none."""
    for module in MODULES:
        found = vars(module).get(name)
        if found is not None and found.__module__ == module.__name__:
            return found
    raise KeyError(name)
