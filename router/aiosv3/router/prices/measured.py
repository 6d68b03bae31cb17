"""The price of GPUs of one's own: dollars an hour by measured tokens a second."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosv3.router.endpoints.endpoint import Call, Completed, Endpoint, Probed
from aiosv3.router.endpoints.errors import EndpointError
from aiosv3.router.prices.price import Price

WINDOW_S: Final = 600.0
"""What is older than this does not count any more."""
ASSUMED_S: Final = 60.0
"""The assumption counts as so much measurement: an idle pool has a price, and one slow call makes none unaffordable."""
_SLICE_S: Final = 30.0


def usd_micros_per_mtok(usd_micros_per_hour: int, tokens_per_s: float) -> int:
    """Dollars an hour, by tokens an hour, for a million tokens; in micro-dollars, rounded up."""
    return math.ceil(usd_micros_per_hour * 1_000_000 / (tokens_per_s * 3600))


def own_gpu_price(micros_per_mtok: int) -> Price:
    """One rate for all tokens that are worked on; those that were in the cache are not."""
    return Price(micros_per_mtok, micros_per_mtok, cached_micros_per_mtok=0)


@dataclass(slots=True)
class _Slice:
    began: float
    tokens: int = 0
    busy_s: float = 0.0


class Throughput:
    """Tokens a second of one replica while it has something to do, over the last ten minutes.

    ``assumed``: tokens a second until it has been measured. ``clock``: seconds that never go back. All calls in flight
    together make one second of work, however many they are: an hour of full work costs what an hour of the GPU costs.
    """

    def __init__(self, assumed: float, clock: Callable[[], float]) -> None:
        self._assumed = assumed
        self._clock = clock
        self._slices: deque[_Slice] = deque()
        self._in_flight = 0
        self._seen = clock()

    def began(self) -> None:
        """A call goes out."""
        self._pass()
        self._in_flight += 1

    def ended(self, tokens: int) -> None:
        """A call is over; ``tokens``: what was read and written for it."""
        self._pass().tokens += tokens
        self._in_flight -= 1

    def tokens_per_s(self) -> float:
        """``(measured tokens + assumed rate * 60 s) / (measured busy seconds + 60 s)``."""
        self._pass()
        tokens = sum(part.tokens for part in self._slices)
        busy = sum(part.busy_s for part in self._slices)
        return (tokens + self._assumed * ASSUMED_S) / (busy + ASSUMED_S)

    def _pass(self) -> _Slice:
        """Books the time since the last event, and returns where to count now."""
        now = self._clock()
        while self._slices and self._slices[0].began <= now - WINDOW_S:
            self._slices.popleft()
        if not self._slices or now - self._slices[-1].began >= _SLICE_S:
            self._slices.append(_Slice(now))
        if self._in_flight:
            self._slices[-1].busy_s += min(now - self._seen, WINDOW_S)
        self._seen = now
        return self._slices[-1]


class Metered:
    """An endpoint whose calls are measured."""

    def __init__(self, endpoint: Endpoint, throughput: Throughput) -> None:
        self._endpoint = endpoint
        self._throughput = throughput

    async def complete(self, call: Call) -> Completed:
        """As the endpoint does; a call that fails is time without tokens, except for those that it was billed for."""
        tokens = 0
        self._throughput.began()
        try:
            done = await self._endpoint.complete(call)
            tokens = done.input_tokens - done.cached_tokens + done.output_tokens
            return done
        except EndpointError as error:
            tokens = error.input_tokens - error.cached_tokens + error.output_tokens
            raise
        finally:
            self._throughput.ended(tokens)

    async def probe(self) -> Probed:
        """As the endpoint does."""
        return await self._endpoint.probe()

    async def aclose(self) -> None:
        """As the endpoint does."""
        await self._endpoint.aclose()
