"""One decision explained: what was asked of pools, which rules applied, and what became of each candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiosv3.router.policy import Choice, Score, Scoring, Wanted, cases, decide, refused
from aiosv3.router.pools import Health, Pool
from aiosv3.router.routing.privacy import Demand
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.router.routing.rules import Weights
from aiosv3.schemas.records import Candidate, Decision, StepFailure


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision, hypothetical or recorded. ``parts``: points of each part of the score, weights counted, by pool.

    ``demand`` and ``parts`` are None of a recorded decision: its request would be needed.
    """

    pool: str | None
    model: str | None
    reason: str
    error: StepFailure | None
    policy_version: str
    rules: tuple[str, ...]
    sticky: str | None
    candidates: tuple[Candidate, ...]
    demand: Demand | None = None
    parts: Mapping[str, Mapping[str, float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable names."""
        parts = self.parts or {}
        error = self.error
        return {
            "outcome": "refused" if self.pool is None else "routed",
            "pool": self.pool,
            "model": self.model,
            "reason": self.reason,
            "error": None if error is None else {"type": error.type, "message": error.message},
            "policy_version": self.policy_version,
            "rules": list(self.rules),
            "sticky": self.sticky,
            "demand": None if self.demand is None else _demand(self.demand),
            "candidates": [{**asdict(one), "parts": parts.get(one.pool)} for one in self.candidates],
        }


def _demand(demand: Demand) -> dict[str, Any]:
    return {"regions": [sorted(regions) for regions in demand.regions], "terms": sorted(demand.terms)}


def explained(
    wanted: Wanted, pools: Sequence[Pool], health: Mapping[str, Health], policy: RoutingPolicy
) -> tuple[Explained, Choice]:
    """A request decided, with the reasoning. ``pools`` are as ``policy`` has them."""
    choice = decide(wanted, pools, health, policy)
    directive = policy.directive(wanted.grant, wanted.route)
    scoring = Scoring(wanted, directive, policy)
    parts = {
        case.pool.name: _points(scoring.weights, scoring.of(case))
        for case in cases(wanted, pools, health, policy, directive)
        if refused(case) is None
    }
    told = Explained(
        None if choice.pool is None else choice.pool.name,
        None if choice.pool is None else choice.pool.model,
        choice.reason,
        choice.error,
        choice.policy_version,
        choice.rules,
        choice.sticky,
        choice.candidates,
        policy.privacy.demand(wanted.grant),
        parts,
    )
    return told, choice


def _points(weights: Weights, points: Score) -> dict[str, float]:
    names = ("quality", "cost", "load", "latency", "sticky")
    return {name: round(getattr(weights, name) * getattr(points, name), 6) for name in names}


def recorded(decision: Decision) -> Explained:
    """A decision as it stands on the log."""
    return Explained(
        decision.pool,
        decision.model,
        decision.reason,
        decision.error,
        decision.policy_version,
        decision.rules,
        decision.sticky,
        decision.candidates,
    )
