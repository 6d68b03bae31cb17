"""A routing policy, ready to decide by: what ``routing.yaml`` says, or the built-in one where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from aiosv3.router.pools import Pool
from aiosv3.router.routing.privacy import Privacy
from aiosv3.router.routing.rules import Directive, Rule, Weights, directive
from aiosv3.schemas.headers import Clearance, Grant, Route

BUILT_IN_VERSION: Final = "1"
"""The version of decisions that are made without a routing file."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What the policy says of a pool: facts that its settings leave open, and limits. It never widens a clearance."""

    region: str = ""
    data_terms: frozenset[str] = frozenset()
    clearance: Clearance | None = None
    quality: float | None = None
    enabled: bool = True

    def to(self, pool: Pool) -> Pool:
        """The pool with it. Where the pool's own settings say where it lies, they are right."""
        return replace(
            pool,
            region=pool.region or self.region,
            data_terms=pool.data_terms | self.data_terms,
            clearance=pool.clearance if self.clearance is None else min(pool.clearance, self.clearance),
            quality=pool.quality if self.quality is None else self.quality,
        )


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """``clearance``: the class of its tasks that name none. ``weight``: its part of a pool that is full."""

    clearance: Clearance | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Immutable; a change is another policy with another ``version``."""

    version: str = BUILT_IN_VERSION
    privacy: Privacy = field(default_factory=Privacy)
    weights: Weights = field(default_factory=Weights)
    rules: tuple[Rule, ...] = ()
    additions: Mapping[str, Addition] = field(default_factory=dict)
    tenants: Mapping[str, TenantPolicy] = field(default_factory=dict)

    def directive(self, grant: Grant, route: Route) -> Directive:
        """What the rules say of a request."""
        return directive(self.rules, grant, route)

    def pool(self, pool: Pool) -> Pool:
        """A pool as this policy has it."""
        addition = self.additions.get(pool.name)
        return pool if addition is None else addition.to(pool)

    def pools(self, pools: Sequence[Pool]) -> tuple[Pool, ...]:
        """All pools as this policy has them."""
        return tuple(self.pool(pool) for pool in pools)

    def denied(self, grant: Grant, pool: Pool) -> str | None:
        """Why a pool, as configured, must not see these data; None where it may."""
        return self.privacy.denied(grant, self.pool(pool))

    def disabled(self, pool: str) -> bool:
        """Whether the policy takes the pool out of use."""
        addition = self.additions.get(pool)
        return addition is not None and not addition.enabled

    def default_clearance(self, tenant: str) -> Clearance | None:
        """The class of a tenant's tasks that name none; None where the policy leaves that to the settings."""
        given = self.tenants.get(tenant)
        return None if given is None else given.clearance

    def weight(self, tenant: str) -> float:
        """A tenant's part of a pool that is full, against 1 of everybody else."""
        given = self.tenants.get(tenant)
        return 1.0 if given is None else given.weight


BUILT_IN: Final = RoutingPolicy()
