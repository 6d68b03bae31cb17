"""What tokens cost: whole micro-dollars per million tokens, and bills that are never under-estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiosv3.schemas.records import Usage


class Tier(NamedTuple):
    """The price of a whole call whose input has more than ``above`` tokens: how providers charge long prompts."""

    above: int
    price: Price


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens. None: as much as fresh input costs.

    ``cached``: input that was read from the endpoint's cache. ``written``: input that it put there for minutes;
    ``kept``: for an hour or more (None: as ``written``). ``batch_percent``: of it all, for a call that may wait.
    ``tiers``: the smallest first, each a price without tiers.
    """

    input_micros_per_mtok: int = 0
    output_micros_per_mtok: int = 0
    cached_micros_per_mtok: int | None = None
    written_micros_per_mtok: int | None = None
    kept_micros_per_mtok: int | None = None
    batch_percent: int = 100
    tiers: tuple[Tier, ...] = ()

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
        *,
        batch: bool = False,
    ) -> int:
        """What that many tokens cost, in micro-dollars, rounded up: a bill is never under-estimated.

        ``input_tokens`` includes those that were cached, written and kept.
        """
        price = self.at(input_tokens)
        cached, written, kept = price.of_cache()
        fresh = max(0, input_tokens - cached_tokens - written_tokens - kept_tokens)
        total = fresh * price.input_micros_per_mtok + output_tokens * price.output_micros_per_mtok
        total += cached_tokens * cached + written_tokens * written + kept_tokens * kept
        if batch:
            return -(-total * self.batch_percent // 100_000_000)
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
        price = self.at(input_tokens)
        dearest = max(price.input_micros_per_mtok, *price.of_cache())
        return -(-(input_tokens * dearest + output_tokens * price.output_micros_per_mtok) // 1_000_000)

    def usage(
        self, input_tokens: int, output_tokens: int, cached_tokens: int, written_tokens: int = 0, kept_tokens: int = 0
    ) -> Usage:
        """One call as a :class:`Usage`."""
        cost = self.of(input_tokens, output_tokens, cached_tokens, written_tokens, kept_tokens)
        return Usage(1, input_tokens, output_tokens, cached_tokens, cost)
