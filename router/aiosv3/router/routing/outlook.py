"""What a router decides by at a moment: the policy in force, the pools as it has them, their prices and health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiosv3.router.pools import Health, Pool, PoolTable
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.router.routing.versions import pools_version
from aiosv3.schemas.headers import Grant
from aiosv3.schemas.policies import PolicyVersion

_KEPT_MS: Final = 250
"""How long a view counts without news of a pool: what only time changes (a pause that ends) is seen that much later."""


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a decision depends on, beside its request and what is remembered of its conversation."""

    policy: RoutingPolicy
    pools: tuple[Pool, ...]
    health: Mapping[str, Health]


class Outlook:
    """Puts policy, pools and their status together, once for many decisions."""

    def __init__(self, pools: Sequence[Pool], table: PoolTable, policies: PolicyBook | None = None) -> None:
        self._configured = tuple(pools)
        self._named = {pool.name: pool for pool in self._configured}
        self._table = table
        self._policies = policies or PolicyBook()
        self._effective = self._policies.current.pools(self._configured)
        self._view: View | None = None
        self._seen = (-1, -1)
        self.pools_version: Final = self.record(0).version

    def record(self, now: int, by: str = "") -> PolicyVersion:
        """The table of pools as ``policies`` keeps it, so that decisions can be made again."""
        return pools_version(self._configured, now, by)

    def at(self, now: int) -> View:
        """The view at ``now`` (ms): a new policy counts at once, as does news of a pool."""
        policy = self._policies.current
        seen = (self._table.changes, now // _KEPT_MS)
        if self._view is not None and self._view.policy is policy and self._seen == seen:
            return self._view
        if self._view is None or self._view.policy is not policy:
            self._effective = policy.pools(self._configured)
        health = {pool.name: self._table.health(pool.name, now) for pool in self._effective}
        self._view = View(policy, self._table.priced(self._effective, now), health)
        self._seen = seen
        return self._view

    def may_see(self, pool: str, grant: Grant) -> bool:
        """Whether the pool may get these data under the policy in force: asked again for every copy of a request."""
        known = self._named.get(pool)
        return known is not None and self._policies.current.denied(grant, known) is None
