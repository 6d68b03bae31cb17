"""Which data a pool may get: class, region and promises. Asked by the router, and again by the model worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiosv3.router.pools import Pool
from aiosv3.schemas.headers import Clearance, Grant


@dataclass(frozen=True, slots=True)
class Demand:
    """What data ask of a pool. ``regions``: of each set, one has to fit; ``terms``: all have to be promised."""

    regions: tuple[frozenset[str], ...] = ()
    terms: frozenset[str] = frozenset()

    def __and__(self, other: Demand) -> Demand:
        """Both: nothing that either asks is dropped."""
        return Demand((*self.regions, *(r for r in other.regions if r not in self.regions)), self.terms | other.terms)

    def unmet(self, pool: Pool) -> str | None:
        """What the pool lacks, in words; None where it has all."""
        for regions in self.regions:
            if not any(lies_in(pool.region, region) for region in regions):
                where = f"lies in {pool.region}" if pool.region else "does not say where it lies"
                return f"region: the data may be in {' or '.join(sorted(regions))}, the pool {where}"
        missing = self.terms - pool.data_terms
        if missing:
            return f"data terms: the pool does not promise {', '.join(sorted(missing))}"
        return None


NOTHING: Final = Demand()


def lies_in(place: str, region: str) -> bool:
    """``eu-west-1`` lies in ``eu`` and in ``eu-west``; a pool that does not say where it is lies nowhere."""
    return place == region or place.startswith(f"{region}-")


def demand_of(regions: tuple[str, ...] | frozenset[str], terms: tuple[str, ...] | frozenset[str]) -> Demand:
    """No regions: anywhere."""
    return Demand((frozenset(regions),) if regions else (), frozenset(terms))


def _nothing_for_any() -> tuple[Demand, ...]:
    return tuple(NOTHING for _ in Clearance)


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is asked of pools: for each class (what a lower class asks, a higher one does too), and for tenants."""

    classes: tuple[Demand, ...] = field(default_factory=_nothing_for_any)
    tenants: Mapping[str, Demand] = field(default_factory=dict)

    def demand(self, grant: Grant) -> Demand:
        """All that is asked for the data of this grant."""
        demand = self.classes[grant.clearance]
        if (of_tenant := self.tenants.get(grant.tenant)) is not None:
            demand &= of_tenant
        if grant.regions or grant.terms:
            demand &= demand_of(grant.regions, grant.terms)
        return demand

    def denied(self, grant: Grant, pool: Pool) -> str | None:
        """Why the pool must not see these data; None where it may."""
        return unfit(grant, self.demand(grant), pool)


def unfit(grant: Grant, demand: Demand, pool: Pool) -> str | None:
    """Class first, then region, then terms."""
    if grant.clearance > pool.clearance:
        return f"clearance: the data is {grant.clearance.label}, the pool may see up to {pool.clearance.label}"
    return None if demand is NOTHING else demand.unmet(pool)


def cumulative(asked: Mapping[Clearance, Demand]) -> tuple[Demand, ...]:
    """For each class what it asks together with all below it."""
    demands: list[Demand] = []
    so_far = NOTHING
    for clearance in Clearance:
        if (own := asked.get(clearance)) is not None:
            so_far &= own
        demands.append(so_far)
    return tuple(demands)
