"""The price that a model worker bills by: as the table dates it, or as its GPUs are measured."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aiosv3.app.poolsettings import PoolSettings
from aiosv3.router.pools import Pool
from aiosv3.router.prices.measured import Metered, Throughput, own_gpu_price, usd_micros_per_mtok
from aiosv3.router.prices.table import micros
from aiosv3.schemas.records import PoolStatus

if TYPE_CHECKING:
    from aiosv3.router.endpoints import Endpoint


class Meter:
    """Keeps the price of one worker. Pools without ``gpu_usd_per_hour`` are not measured."""

    def __init__(self, given: PoolSettings) -> None:
        self._throughput: Throughput | None = None
        self._usd_micros_per_hour = 0
        if given.gpu_usd_per_hour is not None:
            self._throughput = Throughput(given.gpu_tokens_per_second, time.monotonic)
            self._usd_micros_per_hour = micros(given.gpu_usd_per_hour)

    def measured(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, its calls measured where the price depends on it."""
        return endpoint if self._throughput is None else Metered(endpoint, self._throughput)

    @property
    def usd_micros_per_mtok(self) -> int | None:
        """The price of a million tokens now; None where prices are fixed."""
        if self._throughput is None:
            return None
        return usd_micros_per_mtok(self._usd_micros_per_hour, self._throughput.tokens_per_s())

    def stated(self, status: PoolStatus) -> PoolStatus:
        """The status with the measured price in it, from which routers have it."""
        return replace(status, usd_micros_per_mtok=self.usd_micros_per_mtok)

    def repriced(self, pool: Pool, now: int) -> Pool:
        """The pool with its price at ``now``, in milliseconds since the epoch."""
        measured = self.usd_micros_per_mtok
        return pool.at(now) if measured is None else replace(pool, price=own_gpu_price(measured))
