"""Which pool a request goes to: ordered pure functions over headers and tables. Fail closed.

Nothing here reads the prompt, the clock or the network; the same inputs give the same decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from aiosv3.router.pools import Health, Pool
from aiosv3.router.routing.privacy import Demand, unfit
from aiosv3.router.routing.routingpolicy import BUILT_IN, BUILT_IN_VERSION, RoutingPolicy
from aiosv3.router.routing.rules import Directive, complexity_of
from aiosv3.schemas.headers import Grant, Route
from aiosv3.schemas.records import Candidate, StepFailure

POLICY_VERSION: Final = BUILT_IN_VERSION
MAX_ATTEMPTS: Final = 6
"""How often one request is routed before it fails: each eligible pool once, then again with growing pauses."""

_COST_SCALE_MICROS: Final = 10_000
"""A call of one US cent costs half of the score's cost part."""

ELIGIBLE: Final = "eligible"
ASSUMED: Final = "eligible, at an assumed price: nobody knows its own"


@dataclass(slots=True)
class Case:
    """One request in front of one pool."""

    grant: Grant
    route: Route
    pool: Pool
    health: Health
    cost: int
    demand: Demand
    directive: Directive
    disabled: bool = False


Rule: TypeAlias = Callable[[Case], str | None]
"""Why the pool may not get the request, or None."""


def _privacy(case: Case) -> str | None:
    return unfit(case.grant, case.demand, case.pool)


def _policy(case: Case) -> str | None:
    if case.disabled:
        return "policy: the pool is taken out of use"
    return case.directive.excludes(case.pool.name, case.pool.model) if case.directive.rules else None


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


def _overflow(case: Case) -> str | None:
    tried = case.route.overflow
    if tried is None or case.pool.context_window > tried:
        return None
    return f"context: it did not fit a window of {tried} tokens, this one holds {case.pool.context_window}"


def _cost(case: Case) -> str | None:
    for limit in (case.route.usd_micros, case.grant.usd_micros, case.directive.max_usd_micros):
        if limit is not None and case.cost > limit:
            assumed = "" if case.pool.priced else " by an assumed price"
            return f"cost: about {case.cost / 1e6:.6f} USD{assumed}, the limit is {limit / 1e6:.6f}"
    return None


def _health(case: Case) -> str | None:
    return f"health: {case.health.down}" if case.health.down is not None else None


ELIGIBILITY: Final[tuple[tuple[str, Rule], ...]] = (
    ("ClearanceDenied", _privacy),
    ("ModelUnavailable", _policy),
    ("ModelUnavailable", _pinned),
    ("ModelUnavailable", _capabilities),
    ("ModelUnavailable", _context),
    ("ModelRefused", _overflow),
    ("BudgetExceeded", _cost),
    ("ModelUnavailable", _health),
)
"""In this order: privacy comes first and is asked again for every attempt, so no fallback can go below it."""

_NEARNESS: Final = ("ClearanceDenied", "BudgetExceeded", "ModelRefused", "ModelUnavailable")
"""Kinds of refusal, the one nearest to success last: it names what would have to change."""


_Fitting: TypeAlias = tuple[float, int, Case]
"""Score, place (a later one has less), case: no two have the same place, so cases are never compared."""
_Ending: TypeAlias = tuple[Pool | None, str, int, StepFailure | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome: ``pool`` None means refused, with ``error`` as the asker gets it."""

    pool: Pool | None
    reason: str
    candidates: tuple[Candidate, ...]
    cost: int = 0
    error: StepFailure | None = None
    rules: tuple[str, ...] = ()
    sticky: str | None = None
    policy_version: str = POLICY_VERSION
    limit: int | None = None
    """Of the request: the most that the call was allowed to cost, in micro-dollars."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request as it is decided on. ``sticky``: the pool that its conversation is remembered to be with.

    ``costs``: what a call of each pool is expected to cost, by name, where that is known already.
    """

    grant: Grant
    route: Route
    sticky: str | None = None
    costs: Mapping[str, int] | None = None


class Score(NamedTuple):
    """The parts of a score, each 0..1 before its weight; ``total`` is what is compared."""

    quality: float
    cost: float
    load: float
    latency: float
    sticky: float
    total: float


class Scoring:
    """How the pools of one request are scored: what is the same for all of them is looked up once."""

    __slots__ = ("_complexity", "_sticky", "_target", "_weights", "weights")

    def __init__(self, wanted: Wanted, directive: Directive, policy: RoutingPolicy) -> None:
        self.weights = directive.weights or policy.weights
        each = self.weights
        self._weights = (each.quality, each.cost, each.load, each.latency, each.sticky)
        self._complexity = complexity_of(wanted.route)
        self._target = directive.latency_ms or wanted.route.latency_ms
        self._sticky = wanted.sticky

    def of(self, case: Case) -> Score:
        """0..1 and a little, higher is better: enough quality for the complexity, then cost, load and latency."""
        health, pool = case.health, case.pool
        short = self._complexity - pool.quality
        fit = 1.0 - short if short > 0.0 else 1.0
        cheap = _COST_SCALE_MICROS / (_COST_SCALE_MICROS + case.cost)
        measured = health.latency_ms if health.latency_p95_ms is None else health.latency_p95_ms
        prompt = 1.0
        if self._target is not None and measured is not None and measured > self._target:
            prompt = self._target / measured
        free = 1.0 - health.load
        kept = 1.0 if pool.name == self._sticky else 0.0
        quality, cost, load, latency, sticky = self._weights
        total = quality * fit + cost * cheap + load * free + latency * prompt + sticky * kept
        return Score(fit, cheap, free, prompt, kept, round(total * 0.5 if health.degraded else total, 6))


def choose(
    grant: Grant,
    route: Route,
    pools: Sequence[Pool],
    health: Mapping[str, Health],
    policy: RoutingPolicy = BUILT_IN,
    sticky: str | None = None,
) -> Choice:
    """Decides one request. ``pools`` are as ``policy`` has them; ``health`` has an entry for every pool."""
    return decide(Wanted(grant, route, sticky), pools, health, policy)


def decide(
    wanted: Wanted, pools: Sequence[Pool], health: Mapping[str, Health], policy: RoutingPolicy = BUILT_IN
) -> Choice:
    """The same, of a request that may come from a record."""
    directive = policy.directive(wanted.grant, wanted.route)
    scoring = Scoring(wanted, directive, policy)
    asked = relevant(wanted.route)
    candidates: list[Candidate] = []
    fitting: list[_Fitting] = []
    refusals: list[str] = []
    for place, case in enumerate(cases(wanted, pools, health, policy, directive)):
        refusal = refused(case, asked)
        if refusal is None:
            points = scoring.of(case).total
            fitting.append((points, -place, case))
            candidates.append(_candidate(case, ELIGIBLE if case.pool.priced else ASSUMED, points))
        else:
            refusals.append(refusal[0])
            candidates.append(_candidate(case, refusal[1], None))
    seen = tuple(candidates)
    pool, reason, cost, error = (
        _best(wanted.route, fitting, directive) if fitting else _refused(seen, refusals, wanted.route.found)
    )
    return Choice(
        pool,
        reason,
        seen,
        cost,
        error,
        directive.rules,
        wanted.sticky,
        policy.version,
        wanted.route.usd_micros,
    )


def cases(
    wanted: Wanted,
    pools: Sequence[Pool],
    health: Mapping[str, Health],
    policy: RoutingPolicy,
    directive: Directive,
) -> list[Case]:
    """The request in front of each pool, in their order."""
    route, grant = wanted.route, wanted.grant
    demand = policy.privacy.demand(grant)
    known = wanted.costs or {}
    return [
        Case(
            grant,
            route,
            pool,
            health[pool.name],
            known[pool.name] if pool.name in known else pool.price.most(route.tokens, route.max_tokens),
            demand,
            directive,
            policy.disabled(pool.name),
        )
        for pool in pools
    ]


def relevant(route: Route) -> tuple[tuple[str, Rule], ...]:
    """The rules of eligibility without those that no pool could break: the request asks nothing of the kind."""
    idle = []
    if route.pool is None and route.model is None:
        idle.append(_pinned)
    if not route.needs:
        idle.append(_capabilities)
    if route.overflow is None:
        idle.append(_overflow)
    return tuple(entry for entry in ELIGIBILITY if entry[1] not in idle)


def refused(case: Case, asked: Sequence[tuple[str, Rule]] = ELIGIBILITY) -> tuple[str, str] | None:
    """Kind and words of the first rule that keeps the pool out; None where it is eligible."""
    for kind, rule in asked:
        if (reason := rule(case)) is not None:
            return kind, reason
    return None


def _candidate(case: Case, reason: str, points: float | None) -> Candidate:
    """With the pool's health as it was seen, so that the decision can be made again from its record."""
    health = case.health
    return Candidate(
        case.pool.name,
        points is not None,
        reason,
        points,
        case.cost,
        health.load if health.known else None,
        health.latency_ms,
        health.latency_p95_ms,
        health.degraded,
        health.down,
    )


def _best(route: Route, fitting: list[_Fitting], directive: Directive) -> _Ending:
    if route.attempt > MAX_ATTEMPTS:
        tried = ", ".join(dict.fromkeys(route.tried))
        failure = StepFailure("ModelUnavailable", f"{MAX_ATTEMPTS} attempts failed (pools: {tried})", retryable=True)
        return None, "attempts are used up", 0, failure
    shared, words = _shared(route, fitting, directive)
    if route.tried:
        least = min(route.tried.count(case.pool.name) for _, _, case in shared)
        best = max(entry for entry in shared if route.tried.count(entry[2].pool.name) == least)
    else:
        best = max(shared)
    case = best[2]
    first = f"attempt {route.attempt}: " if route.attempt > 1 else ""
    reason = f"{first}best of {len(shared)} eligible{words}, score {best[0]:.3f}, about {case.cost / 1e6:.6f} USD"
    return case.pool, reason, case.cost, None


def _shared(route: Route, fitting: list[_Fitting], directive: Directive) -> tuple[list[_Fitting], str]:
    """Those of the tree's share; all of them where none of it can take the request, or they have failed it."""
    preferred = directive.preferred
    if preferred is None:
        return fitting, ""
    own = [entry for entry in fitting if entry[2].pool.name in preferred and entry[2].pool.name not in route.tried]
    return (own, " in its share") if own else (fitting, ", none of its share")


def _refused(candidates: tuple[Candidate, ...], refusals: list[str], found: Sequence[str]) -> _Ending:
    """The error that is nearest to success names what would have to change."""
    if not refusals:
        failure = StepFailure(
            "ModelUnavailable", "no pools are configured: add [pools.NAME] to aiosv3.toml", retryable=False
        )
        return None, "no pools", 0, failure
    kind = max(refusals, key=_NEARNESS.index)
    words = "; ".join(f"{candidate.pool}: {candidate.reason}" for candidate in candidates)
    if found and kind == "ClearanceDenied":
        words = f"the class was raised for what the prompt holds ({', '.join(found)}); {words}"
    failure = StepFailure(kind, words, retryable=kind == "ModelUnavailable")
    return None, f"no eligible pool ({words})", 0, failure
