"""The versions that are known, and the one in force: what a router and a model worker decide by."""

from __future__ import annotations

from collections.abc import Mapping

from aiosv3.router.pools import Pool
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.routingpolicy import BUILT_IN, RoutingPolicy
from aiosv3.router.routing.versions import policy_of, pools_of
from aiosv3.schemas.policies import PolicyKind, PolicyVersion


class PolicyBook:
    """Follows ``policies``. The newest version that can be used is in force; one that cannot changes nothing."""

    def __init__(self, policy: RoutingPolicy = BUILT_IN) -> None:
        self.current = policy
        self._policies: dict[str, RoutingPolicy] = {BUILT_IN.version: BUILT_IN, policy.version: policy}
        self._read: set[str] = set()
        self._pools: dict[str, tuple[Pool, ...]] = {}
        self.pushed: PolicyVersion | None = None
        """The record in force; None: none has been read that could be used."""
        self.passed_over: list[str] = []
        """Why records could not be used."""

    def check(self) -> None:
        """Raises :class:`UnusableVersion` where there are versions and none can be used.

        Deciding without any would drop what they ask for the data.
        """
        if self.pushed is None and self.passed_over:
            raise UnusableVersion(
                f"no routing policy on the log can be used: {self.passed_over[-1]}; upgrade this worker, or push a "
                "policy that it can read: aiosv3 route push"
            )

    def apply(self, version: PolicyVersion) -> None:
        """Takes the next record. Raises :class:`UnusableVersion` and stays as it was."""
        if version.kind is PolicyKind.POOLS:
            self._pools[version.version] = pools_of(version)
            return
        policy = self._policies.get(version.version) or policy_of(version)
        self._policies[policy.version] = policy
        self.current = policy
        self._read.add(version.version)
        self.pushed = version

    def weight(self, tenant: str) -> float:
        """A tenant's part of a pool that is full, under the policy in force."""
        return self.current.weight(tenant)

    def knows(self, version: str) -> bool:
        """Whether a policy has been on the log, in force or not."""
        return version in self._read

    def policy(self, version: str) -> RoutingPolicy:
        """A policy by its version. Raises :class:`UnusableVersion` where it is not known."""
        try:
            return self._policies[version]
        except KeyError:
            raise UnusableVersion(f"routing policy {version} is not on the log") from None

    def pools(self, version: str) -> tuple[Pool, ...]:
        """A table of pools by its version. Raises :class:`UnusableVersion` where it is not known."""
        try:
            return self._pools[version]
        except KeyError:
            raise UnusableVersion(f"table of pools {version!r} is not on the log") from None

    @property
    def tables(self) -> Mapping[str, tuple[Pool, ...]]:
        """All tables of pools that are known, by version."""
        return self._pools
