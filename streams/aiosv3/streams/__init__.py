"""The stream runtime: partitions owned by markers, answers on the own log first, commits of durable facts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiosv3.streams.commit import Commit
    from aiosv3.streams.effector import Effector, EffectorTenure
    from aiosv3.streams.log import Appended, Bounds, Committed, Listener, Log, Member, Outgoing, Record, Start
    from aiosv3.streams.processor import Processor
    from aiosv3.streams.tenure import Tenure, Wiring

__all__ = [
    "Appended",
    "Bounds",
    "Commit",
    "Committed",
    "Effector",
    "EffectorTenure",
    "Listener",
    "Log",
    "Member",
    "Outgoing",
    "Processor",
    "Record",
    "Start",
    "Tenure",
    "Wiring",
]

_HOMES: Final = {
    "Commit": "commit",
    "Effector": "effector",
    "EffectorTenure": "effector",
    "Processor": "processor",
    "Tenure": "tenure",
    "Wiring": "tenure",
}
"""Names that are not of the port itself (``log``) and where they live; loaded when first used."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'log')}"), name)
