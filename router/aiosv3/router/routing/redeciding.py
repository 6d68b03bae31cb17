"""A recorded decision made again: with the inputs that it records, by the policy that it names or by another one.

What a decision depends on is on the log. Its request's headers are on ``prompts`` at its ``input_offset``; the policy
and the table of pools are on ``policies`` under the versions that it names; health, costs, the limit on the call and
the remembered pool are in the decision itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from aiosv3.router.policy import Choice, Wanted, decide
from aiosv3.router.pools import Health, Pool
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.schemas.headers import Grant, Route
from aiosv3.schemas.records import Candidate, Decision

_BY_LEDGER: Final = frozenset({"BudgetExceeded"})


class Difference(NamedTuple):
    """What is not as recorded."""

    field: str
    recorded: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision with the headers of its request."""

    decision: Decision
    grant: Grant
    route: Route


def was_chosen(decision: Decision) -> bool:
    """False for what the policy was not asked: a cancelled tree, a passed deadline, a decision that was overruled."""
    return bool(decision.candidates) or decision.reason == "no pools"


def redecided(recorded: Recorded, policy: RoutingPolicy, pools: Sequence[Pool]) -> Choice:
    """What ``policy`` decides on the inputs of the record. ``pools``: as configured then; their prices do not count.

    Raises :class:`UnusableVersion` where a pool's health was not recorded.
    """
    decision = recorded.decision
    seen = {candidate.pool: candidate for candidate in decision.candidates}
    missing = [pool.name for pool in pools if pool.name not in seen]
    if missing:
        raise UnusableVersion(f"the decision says nothing of pool {missing[0]}")
    wanted = Wanted(
        recorded.grant,
        replace(recorded.route, usd_micros=decision.limit_usd_micros),
        decision.sticky,
        {name: candidate.cost_usd_micros or 0 for name, candidate in seen.items()},
    )
    health = {name: health_of(candidate) for name, candidate in seen.items()}
    return decide(wanted, policy.pools(pools), health, policy)


def health_of(candidate: Candidate) -> Health:
    """The pool's health as the decision saw it."""
    return Health(
        known=candidate.load is not None,
        down=candidate.down,
        degraded=candidate.degraded,
        load=candidate.load or 0.0,
        latency_ms=candidate.latency_ms,
        latency_p95_ms=candidate.latency_p95_ms,
    )


def differences(decision: Decision, choice: Choice) -> list[Difference]:
    """Where the choice is not the recorded one, bit for bit; what only the ledger knew is not held against it."""
    pairs = [
        ("policy_version", decision.policy_version, choice.policy_version),
        ("rules", decision.rules, choice.rules),
        *_candidates(decision.candidates, choice.candidates),
    ]
    if not refused_by_ledger(decision):
        pairs += [
            ("pool", decision.pool, None if choice.pool is None else choice.pool.name),
            ("model", decision.model, None if choice.pool is None else choice.pool.model),
            ("reason", decision.reason, choice.reason),
            ("reserved_usd_micros", decision.reserved_usd_micros, choice.cost),
            ("error", decision.error, choice.error),
        ]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def refused_by_ledger(decision: Decision) -> bool:
    """True where a pool was eligible, and the budget had no money for it."""
    error = decision.error
    return (
        error is not None and error.type in _BY_LEDGER and any(candidate.eligible for candidate in decision.candidates)
    )


def _candidates(before: Sequence[Candidate], now: Sequence[Candidate]) -> list[tuple[str, Any, Any]]:
    names = [candidate.pool for candidate in before]
    if names != [candidate.pool for candidate in now]:
        return [("candidates", names, [candidate.pool for candidate in now])]
    return [(f"candidates.{one.pool}", one, other) for one, other in zip(before, now, strict=True)]
