"""Routing and pools: decisions from headers and tables, calls where the credentials are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiosv3.router.policy import Choice, choose
    from aiosv3.router.pools import Health, Pool, PoolTable, Price
    from aiosv3.router.router import Router

__all__ = ["Choice", "Health", "Pool", "PoolTable", "Price", "Router", "choose"]

_HOMES = {
    "Choice": "aiosv3.router.policy",
    "Health": "aiosv3.router.pools",
    "Pool": "aiosv3.router.pools",
    "PoolTable": "aiosv3.router.pools",
    "Price": "aiosv3.router.pools",
    "Router": "aiosv3.router.router",
    "choose": "aiosv3.router.policy",
}
"""Loaded when first used: settings, and so each command, need one module of this package and no router."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
