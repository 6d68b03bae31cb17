"""What tokens cost: whole micro-dollars per million tokens, and bills that are never under-estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from aiosv3.router.endpoints.errors import Spent
from aiosv3.schemas.records import Usage


class Tier(NamedTuple):
    """The price of a whole call whose input has more than ``above`` tokens: how providers charge long prompts."""

    above: int
    price: Price


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens. None: as much as fresh input costs.

    ``cached``: input that was read from the endpoint's cache. ``written``: input that it put there for minutes;
    ``kept``: for an hour or more (None: as ``written``). ``tiers``: the smallest first, each a price without tiers.
    ``batch_percent``: of it all, for a call that may wait. ``usual``: what a call of :meth:`batched` costs where the
    provider did not let it wait.
    """

    input_micros_per_mtok: int = 0
    output_micros_per_mtok: int = 0
    cached_micros_per_mtok: int | None = None
    written_micros_per_mtok: int | None = None
    kept_micros_per_mtok: int | None = None
    batch_percent: int = 100
    tiers: tuple[Tier, ...] = ()
    usual: Price | None = None

    def batched(self) -> Price:
        """The price of calls that may wait, its rates rounded up."""
        percent = self.batch_percent
        tiers = tuple(Tier(above, price.scaled(percent)) for above, price in self.tiers)
        return replace(self.scaled(percent), tiers=tiers, usual=self)

    def scaled(self, percent: int) -> Price:
        """Its rates, at so much of them, rounded up; without tiers."""
        cache = (self.cached_micros_per_mtok, self.written_micros_per_mtok, self.kept_micros_per_mtok)
        cached, written, kept = (None if rate is None else _share(rate, percent) for rate in cache)
        asked, answered = (_share(rate, percent) for rate in (self.input_micros_per_mtok, self.output_micros_per_mtok))
        return Price(asked, answered, cached, written, kept)

    def at(self, input_tokens: int) -> Price:
        """The price of a call with so much input, cached and written tokens included."""
        for above, price in reversed(self.tiers):
            if input_tokens > above:
                return price
        return self

    def of(
        self,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        written_tokens: int = 0,
        kept_tokens: int = 0,
    ) -> int:
        """What that many tokens cost, in micro-dollars, rounded up: a bill is never under-estimated.

        ``input_tokens`` includes those that were cached, written and kept.
        """
        price = self.at(input_tokens)
        cached, written, kept = price.of_cache()
        fresh = max(0, input_tokens - cached_tokens - written_tokens - kept_tokens)
        total = fresh * price.input_micros_per_mtok + output_tokens * price.output_micros_per_mtok
        total += cached_tokens * cached + written_tokens * written + kept_tokens * kept
        return -(-total // 1_000_000)

    def of_cache(self) -> tuple[int, int, int]:
        """Per million tokens: of what was read from the cache, put there for minutes, for an hour or more."""
        fresh = self.input_micros_per_mtok
        written = fresh if self.written_micros_per_mtok is None else self.written_micros_per_mtok
        return (
            fresh if self.cached_micros_per_mtok is None else self.cached_micros_per_mtok,
            written,
            written if self.kept_micros_per_mtok is None else self.kept_micros_per_mtok,
        )

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost, whatever the endpoint's cache does with them: what to reserve."""
        price = self.at(input_tokens) if self.tiers else self
        dearest = price.input_micros_per_mtok
        for rate in (price.cached_micros_per_mtok, price.written_micros_per_mtok, price.kept_micros_per_mtok):
            if rate is not None and rate > dearest:
                dearest = rate
        return -(-(input_tokens * dearest + output_tokens * price.output_micros_per_mtok) // 1_000_000)

    def usage(self, spent: Spent) -> Usage:
        """What one call has used and cost, as a :class:`Usage`."""
        price = self.usual if spent.standard and self.usual is not None else self
        counts = (spent.input_tokens, spent.output_tokens, spent.cached_tokens)
        written, kept = spent.written_tokens, spent.kept_tokens
        return Usage(1, *counts, price.of(*counts, written, kept), written, kept, spent.estimated)


def _share(rate: int, percent: int) -> int:
    return -(-rate * percent // 100)


def together(last: Usage, before: Usage) -> Usage:
    """What one request has used in several calls; it is one call to whoever counts those."""
    return Usage(
        max(last.model_calls, before.model_calls),
        last.input_tokens + before.input_tokens,
        last.output_tokens + before.output_tokens,
        last.cached_tokens + before.cached_tokens,
        last.cost_usd_micros + before.cost_usd_micros,
        last.cache_write_tokens + before.cache_write_tokens,
        last.cache_write_long_tokens + before.cache_write_long_tokens,
        last.estimated or before.estimated,
    )
