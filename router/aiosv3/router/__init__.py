"""Routing and pools: decisions from headers and tables, calls where the credentials are."""

from aiosv3.router.policy import Choice, choose
from aiosv3.router.pools import Health, Pool, PoolTable, Price
from aiosv3.router.router import Router

__all__ = ["Choice", "Health", "Pool", "PoolTable", "Price", "Router", "choose"]
