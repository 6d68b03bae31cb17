"""From a routing file to a policy that decides, and whether it fits the pools that there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from aiosv3.router.pools import Pool
from aiosv3.router.routing.errors import Fault, RoutingFileError
from aiosv3.router.routing.file import (
    DemandGroup,
    MatchGroup,
    PoolGroup,
    RoutingFile,
    RuleGroup,
    TenantGroup,
    WeightsGroup,
    micros,
    version_of,
)
from aiosv3.router.routing.marks import Marked, Place
from aiosv3.router.routing.privacy import Demand, Privacy, cumulative, demand_of
from aiosv3.router.routing.routingpolicy import Addition, RoutingPolicy, TenantPolicy
from aiosv3.router.routing.rules import Effect, Match, Rule, Weights
from aiosv3.router.routing.shares import Share
from aiosv3.schemas.headers import Clearance


def compiled(file: RoutingFile) -> RoutingPolicy:
    """The policy that a file means."""
    classes = {
        Clearance.parse(name): _demand(group)
        for name in type(file.classes).model_fields
        if (group := getattr(file.classes, name)) != DemandGroup()
    }
    return RoutingPolicy(
        version=version_of(file.canonical()),
        privacy=Privacy(
            cumulative(classes),
            {name: _demand(tenant) for name, tenant in file.tenants.items() if tenant.regions or tenant.terms},
        ),
        weights=_weights(file.weights),
        rules=tuple(_rule(rule) for rule in file.rules),
        additions={name: _addition(pool) for name, pool in file.pools.items()},
        tenants={name: TenantPolicy(_class(t.default_class), t.weight) for name, t in file.tenants.items()},
    )


def _demand(group: DemandGroup | TenantGroup) -> Demand:
    return demand_of(frozenset(group.regions), frozenset(group.terms))


def _class(label: str | None) -> Clearance | None:
    return None if label is None else Clearance.parse(label)


def _weights(group: WeightsGroup) -> Weights:
    return Weights(group.quality, group.cost, group.load, group.latency, group.sticky)


def _addition(group: PoolGroup) -> Addition:
    return Addition(
        region=group.region or "",
        data_terms=frozenset(group.data_terms),
        clearance=_class(group.clearance),
        quality=group.quality,
        enabled=group.enabled,
    )


def _rule(group: RuleGroup) -> Rule:
    effect = Effect(
        pools=_set(group.pools),
        models=_set(group.models),
        not_pools=frozenset(group.not_pools or ()),
        not_models=frozenset(group.not_models or ()),
        weights=None if group.weights is None else _weights(group.weights),
        max_usd_micros=None if group.max_usd is None else micros(group.max_usd),
        latency_ms=group.latency_ms,
        shares=tuple(Share(one.name, round(one.percent * 100), frozenset(one.pools)) for one in group.shares),
    )
    return Rule(group.name, _match(group.match), effect, last=group.last)


def _match(group: MatchGroup) -> Match:
    classes = group.data_class
    return Match(
        agents=_set(group.agent),
        workflows=_set(group.workflow),
        types=_set(group.type),
        tenants=_set(group.tenant),
        labels=_set(group.label),
        classes=None if classes is None else frozenset(int(Clearance.parse(label)) for label in classes),
        complexity=None if group.complexity is None else (group.complexity[0], group.complexity[1]),
    )


def _set(names: Sequence[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def check_pools(file: RoutingFile, marked: Marked, pools: Iterable[Pool]) -> None:
    """Raises :class:`RoutingFileError` where the file names a pool or model that there is not, or contradicts one."""
    known = {pool.name: pool for pool in pools}
    models = {pool.model for pool in known.values()}
    faults = [
        Fault(marked.line(place), f"there is no {kind} {name!r}; {_near(name, there)}")
        for kind, there, place, name in (*_pools_named(file, set(known)), *_models_named(file, models))
        if name not in there
    ]
    for name, group in file.pools.items():
        pool = known.get(name)
        if pool is not None and pool.region and group.region not in {None, pool.region}:
            words = f"pools.{name}.region: its settings in aiosv3.toml say {pool.region}, which counts: leave it out"
            faults.append(Fault(marked.line(("pools", name, "region")), words))
    if faults:
        raise RoutingFileError(marked.source, faults)


def _pools_named(file: RoutingFile, there: set[str]) -> Iterator[tuple[str, set[str], Place, str]]:
    for name in file.pools:
        yield "pool", there, ("pools", name), name
    for number, rule in enumerate(file.rules):
        for key in ("pools", "not_pools"):
            for position, name in enumerate(getattr(rule, key) or ()):
                yield "pool", there, ("rules", number, key, position), name
        for part, share in enumerate(rule.shares):
            for position, name in enumerate(share.pools):
                yield "pool", there, ("rules", number, "shares", part, "pools", position), name


def _models_named(file: RoutingFile, there: set[str]) -> Iterator[tuple[str, set[str], Place, str]]:
    for number, rule in enumerate(file.rules):
        for key in ("models", "not_models"):
            for position, name in enumerate(getattr(rule, key) or ()):
                yield "model", there, ("rules", number, key, position), name


def _near(name: str, there: set[str]) -> str:
    near = get_close_matches(name, there, 1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(there)) or 'none'}"
