"""Rules of the routing policy: whom they match, and what they do to a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosv3.router.routing.shares import Share, share_of
from aiosv3.schemas.headers import AUTO, Grant, Route

UNKNOWN_COMPLEXITY: Final = 0.5
"""What ``auto`` counts as, where nobody has estimated it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the score counts."""

    quality: float = 0.55
    cost: float = 0.25
    load: float = 0.1
    latency: float = 0.1
    sticky: float = 0.05


@dataclass(frozen=True, slots=True)
class Match:
    """All that is named has to fit; None: whatever it is. ``complexity`` is a closed range."""

    agents: frozenset[str] | None = None
    workflows: frozenset[str] | None = None
    types: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    labels: frozenset[str] | None = None
    classes: frozenset[int] | None = None
    complexity: tuple[float, float] | None = None

    def tests(self) -> tuple[Callable[[Grant, Route], bool], ...]:
        """What has to be asked, cheapest first."""
        named: list[tuple[frozenset[str] | frozenset[int] | None, Callable[[Grant, Route], object]]] = [
            (self.agents, lambda _grant, route: route.agent),
            (self.workflows, lambda grant, _route: grant.workflow),
            (self.types, lambda grant, _route: grant.type),
            (self.tenants, lambda grant, _route: grant.tenant),
            (self.labels, lambda grant, _route: grant.label),
            (self.classes, lambda grant, _route: grant.clearance),
        ]
        tests = [_one_of(allowed, read) for allowed, read in named if allowed is not None]
        if self.complexity is not None:
            tests.append(_between(*self.complexity))
        return tuple(tests)


def _one_of(
    allowed: frozenset[str] | frozenset[int], read: Callable[[Grant, Route], object]
) -> Callable[[Grant, Route], bool]:
    return lambda grant, route: read(grant, route) in allowed


def _between(least: float, most: float) -> Callable[[Grant, Route], bool]:
    return lambda _grant, route: least <= complexity_of(route) <= most


def complexity_of(route: Route) -> float:
    """How hard the request is, 0 to 1."""
    return UNKNOWN_COMPLEXITY if route.complexity == AUTO else route.complexity


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule does. Names of pools and models; None: nothing is said of it."""

    pools: frozenset[str] | None = None
    models: frozenset[str] | None = None
    not_pools: frozenset[str] = frozenset()
    not_models: frozenset[str] = frozenset()
    weights: Weights | None = None
    max_usd_micros: int | None = None
    latency_ms: int | None = None
    shares: tuple[Share, ...] = ()


class Rule:
    """A rule, ready to be asked. ``last``: none after it is asked where it matches."""

    __slots__ = ("_tests", "effect", "last", "name")

    def __init__(self, name: str, match: Match, effect: Effect, *, last: bool = False) -> None:
        self.name = name
        self.effect = effect
        self.last = last
        self._tests = match.tests()

    def matches(self, grant: Grant, route: Route) -> bool:
        """Whether it applies to this request."""
        for test in self._tests:  # noqa: SIM110 -- a generator would cost more than the tests
            if not test(grant, route):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Directive:
    """What the matching rules say together: what narrows adds up, of values the last one counts.

    ``preferred``: the pools of a share, taken while any of them can take the request. ``rules`` names what applied.
    """

    rules: tuple[str, ...] = ()
    pools: frozenset[str] | None = None
    models: frozenset[str] | None = None
    not_pools: frozenset[str] = frozenset()
    not_models: frozenset[str] = frozenset()
    weights: Weights | None = None
    max_usd_micros: int | None = None
    latency_ms: int | None = None
    preferred: frozenset[str] | None = None

    def excludes(self, pool: str, model: str) -> str | None:
        """Why the rules keep a request from this pool; None where they do not."""
        if self.pools is not None and pool not in self.pools:
            return f"policy: the rules allow {_only(self.pools)}"
        if self.models is not None and model not in self.models:
            return f"policy: the rules allow {_only(self.models)}"
        if pool in self.not_pools or model in self.not_models:
            return "policy: the rules leave it out"
        return None


NO_RULES: Final = Directive()


def directive(rules: tuple[Rule, ...], grant: Grant, route: Route) -> Directive:
    """What the rules say of a request, asked in their order."""
    so_far = NO_RULES
    for rule in rules:
        if rule.matches(grant, route):
            so_far = _with(so_far, rule, grant.root)
            if rule.last:
                break
    return so_far


def _with(before: Directive, rule: Rule, root: str) -> Directive:
    effect = rule.effect
    share = share_of(rule.name, root, effect.shares) if effect.shares else None
    return Directive(
        rules=(*before.rules, rule.name if share is None else f"{rule.name}: {share.name}"),
        pools=_both(before.pools, effect.pools),
        models=_both(before.models, effect.models),
        not_pools=before.not_pools | effect.not_pools,
        not_models=before.not_models | effect.not_models,
        weights=effect.weights or before.weights,
        max_usd_micros=_least(before.max_usd_micros, effect.max_usd_micros),
        latency_ms=before.latency_ms if effect.latency_ms is None else effect.latency_ms,
        preferred=before.preferred if share is None else share.pools,
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _least(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _only(names: frozenset[str]) -> str:
    return f"{', '.join(sorted(names))} only" if names else "none: they contradict each other"
