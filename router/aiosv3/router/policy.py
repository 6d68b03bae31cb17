"""Which pool a request goes to: ordered pure functions over headers and tables. Fail closed.

Nothing here reads the prompt, the clock or the network; the same inputs give the same decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiosv3.router.pools import Health, Pool
from aiosv3.schemas.headers import AUTO, Grant, Route
from aiosv3.schemas.records import Candidate, StepFailure

POLICY_VERSION: Final = "1"
MAX_ATTEMPTS: Final = 6
"""How often one request is routed before it fails: each eligible pool once, then again with growing pauses."""

_UNKNOWN_COMPLEXITY: Final = 0.5
_COST_SCALE_MICROS: Final = 10_000
"""A call of one US cent costs half of the score's cost part."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request in front of one pool."""

    grant: Grant
    route: Route
    pool: Pool
    health: Health
    cost: int


Rule: TypeAlias = Callable[[Case], str | None]
"""Why the pool may not get the request, or None."""


def _clearance(case: Case) -> str | None:
    if case.grant.clearance <= case.pool.clearance:
        return None
    return f"clearance: the data is {case.grant.clearance.label}, the pool may see up to {case.pool.clearance.label}"


def _pinned(case: Case) -> str | None:
    if case.route.pool is not None and case.route.pool != case.pool.name:
        return f"pinned: the request asks for pool {case.route.pool}"
    if case.route.model is not None and case.route.model != case.pool.model:
        return f"pinned: the request asks for model {case.route.model}"
    return None


def _capabilities(case: Case) -> str | None:
    missing = [need for need in case.route.needs if need not in case.pool.capabilities]
    return f"capabilities: no {', '.join(missing)}" if missing else None


def _context(case: Case) -> str | None:
    needed = case.route.tokens + case.route.max_tokens
    if needed <= case.pool.context_window:
        return None
    return f"context: about {needed} tokens, the window holds {case.pool.context_window}"


def _cost(case: Case) -> str | None:
    for limit in (case.route.usd_micros, case.grant.usd_micros):
        if limit is not None and case.cost > limit:
            return f"cost: about {case.cost / 1e6:.6f} USD, the limit is {limit / 1e6:.6f}"
    return None


def _health(case: Case) -> str | None:
    return f"health: {case.health.down}" if case.health.down is not None else None


ELIGIBILITY: Final[tuple[tuple[str, Rule], ...]] = (
    ("ClearanceDenied", _clearance),
    ("ModelUnavailable", _pinned),
    ("ModelUnavailable", _capabilities),
    ("ModelUnavailable", _context),
    ("BudgetExceeded", _cost),
    ("ModelUnavailable", _health),
)
"""In this order: clearance comes first and is asked again for every attempt, so no fallback can go below it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome: ``pool`` None means refused, with ``error`` as the asker gets it."""

    pool: Pool | None
    reason: str
    candidates: tuple[Candidate, ...]
    cost: int = 0
    error: StepFailure | None = None


def score(case: Case) -> float:
    """0..1, higher is better: enough quality for the complexity first, then cost, then load and latency."""
    route = case.route
    complexity = _UNKNOWN_COMPLEXITY if route.complexity == AUTO else float(route.complexity)
    shortfall = max(0.0, complexity - case.pool.quality)
    cheap = _COST_SCALE_MICROS / (_COST_SCALE_MICROS + case.cost)
    prompt = 1.0
    if route.latency_ms is not None and case.health.latency_ms is not None:
        prompt = min(1.0, route.latency_ms / max(1, case.health.latency_ms))
    free = 1.0 - case.health.load
    total = 0.55 * (1.0 - shortfall) + 0.25 * cheap + 0.1 * free + 0.1 * prompt
    return round(total * (0.5 if case.health.degraded else 1.0), 6)


def choose(grant: Grant, route: Route, pools: Sequence[Pool], health: Mapping[str, Health]) -> Choice:
    """Decides one request. ``health`` has an entry for every pool."""
    candidates: list[Candidate] = []
    fitting: list[tuple[float, int, Case]] = []
    refusals: list[tuple[str, str]] = []
    for place, pool in enumerate(pools):
        cost = pool.price.of(route.tokens, route.max_tokens)
        case = Case(grant, route, pool, health[pool.name], cost)
        refusal = _refusal(case)
        if refusal is None:
            points = score(case)
            fitting.append((points, -place, case))
            candidates.append(Candidate(pool.name, True, "eligible", points, cost))
        else:
            refusals.append(refusal)
            candidates.append(Candidate(pool.name, False, refusal[1], None, cost))
    if not fitting:
        return _refused(route, tuple(candidates), refusals)
    return _best(route, tuple(candidates), fitting)


def _refusal(case: Case) -> tuple[str, str] | None:
    for kind, rule in ELIGIBILITY:
        if (reason := rule(case)) is not None:
            return kind, reason
    return None


def _best(route: Route, candidates: tuple[Candidate, ...], fitting: list[tuple[float, int, Case]]) -> Choice:
    if route.attempt > MAX_ATTEMPTS:
        tried = ", ".join(dict.fromkeys(route.tried))
        failure = StepFailure("ModelUnavailable", f"{MAX_ATTEMPTS} attempts failed (pools: {tried})", retryable=True)
        return Choice(None, "attempts are used up", candidates, error=failure)
    times = {case.pool.name: route.tried.count(case.pool.name) for _, _, case in fitting}
    least = min(times.values())
    points, _, best = max((entry for entry in fitting if times[entry[2].pool.name] == least), key=lambda e: e[:2])
    first = f"attempt {route.attempt}: " if route.attempt > 1 else ""
    reason = f"{first}best of {len(fitting)} eligible, score {points:.3f}, about {best.cost / 1e6:.6f} USD"
    return Choice(best.pool, reason, candidates, best.cost)


def _refused(route: Route, candidates: tuple[Candidate, ...], refusals: list[tuple[str, str]]) -> Choice:
    """The error that is nearest to success names what would have to change."""
    if not refusals:
        failure = StepFailure(
            "ModelUnavailable", "no pools are configured: add [pools.NAME] to aiosv3.toml", retryable=False
        )
        return Choice(None, "no pools", candidates, error=failure)
    order = ("ClearanceDenied", "BudgetExceeded", "ModelUnavailable")
    kind = max((kind for kind, _ in refusals), key=order.index)
    words = "; ".join(f"{candidate.pool}: {candidate.reason}" for candidate in candidates)
    return Choice(
        None,
        f"no eligible pool ({words})",
        candidates,
        error=StepFailure(kind, words, retryable=kind == "ModelUnavailable"),
    )
