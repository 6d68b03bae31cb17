"""A table of expectations: requests, and where they must go. What ``aiosv3 route test`` runs before a push."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aiosv3.router.policy import Choice, Wanted, decide
from aiosv3.router.pools import Health, Pool
from aiosv3.router.routing.errors import Fault, RoutingFileError
from aiosv3.router.routing.file import Class, Name, Names, Part, Regions, faults_of, micros
from aiosv3.router.routing.marks import Marked, read_yaml
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.schemas.headers import AUTO, Clearance, Grant, Route

Words: TypeAlias = Annotated[list[Name], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RequestGroup(_Group):
    """A model request as the router sees it: headers only. ``data_class`` none: the tenant's default."""

    agent: Name = "agent"
    workflow: Name | None = None
    type: Name | None = None
    tenant: Name = "default"
    label: Name | None = None
    root: Name | None = None
    data_class: Class | None = None
    regions: Regions = []
    terms: Words = []
    complexity: Part | Literal["auto"] = "auto"
    tokens: Annotated[int, Field(ge=0)] = 1_000
    max_tokens: Annotated[int, Field(ge=0)] = 500
    needs: Words = []
    latency_ms: Annotated[int, Field(ge=0)] | None = None
    max_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    pool: Name | None = None
    model: Name | None = None
    tried: Words = []
    sticky: Name | None = None
    overflow: Annotated[int, Field(ge=0)] | None = None

    def wanted(self, policy: RoutingPolicy, usual: Clearance, root: str = "root") -> Wanted:
        """The request. ``usual``: the class where neither it nor its tenant says one."""
        default = policy.default_clearance(self.tenant)
        clearance = usual if default is None else default
        grant = Grant(
            tenant=self.tenant,
            root=self.root or root,
            clearance=clearance if self.data_class is None else Clearance.parse(self.data_class),
            regions=tuple(self.regions),
            terms=tuple(self.terms),
            workflow=self.workflow or self.agent,
            type=self.type,
            label=self.label,
        )
        route = Route(
            agent=self.agent,
            complexity=AUTO if self.complexity == "auto" else self.complexity,
            tokens=self.tokens,
            max_tokens=self.max_tokens,
            latency_ms=self.latency_ms,
            attempt=len(self.tried) + 1,
            needs=tuple(self.needs),
            pool=self.pool,
            model=self.model,
            usd_micros=None if self.max_usd is None else micros(self.max_usd),
            tried=tuple(self.tried),
            overflow=self.overflow,
        )
        return Wanted(grant, route, self.sticky)


class HealthGroup(_Group):
    """How a pool is while the case is decided; what is left out is well and free."""

    down: Name | None = None
    load: Part = 0.0
    latency_ms: Annotated[int, Field(ge=0)] | None = None
    p95_ms: Annotated[int, Field(ge=0)] | None = None
    degraded: bool = False

    def health(self) -> Health:
        """As the router sees it."""
        return Health(True, self.down, self.degraded, self.load, self.latency_ms, self.p95_ms)


class ExpectGroup(_Group):
    """What must come out: all that is named. ``refused``: the type of the error."""

    pool: Names | None = None
    not_pool: Names | None = None
    refused: Name | None = None
    rules: Words | None = None

    @model_validator(mode="after")
    def _something(self) -> ExpectGroup:
        if not self.model_fields_set:
            raise ValueError("say what must come out: pool, not_pool, refused or rules")
        if self.refused is not None and self.pool is not None:
            raise ValueError("it cannot both go to a pool and be refused")
        return self


class CaseGroup(_Group):
    """One expectation."""

    name: Name
    request: RequestGroup = RequestGroup()
    health: dict[Name, HealthGroup] = {}
    expect: ExpectGroup


class ExpectationsFile(_Group):
    """The whole table."""

    cases: Annotated[list[CaseGroup], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a case. ``wrong``: lines of what was expected and of what was decided; none: it holds."""

    name: str
    line: int
    wrong: tuple[str, ...]


def parse_expectations(text: str, source: str) -> tuple[ExpectationsFile, Marked]:
    """Raises :class:`RoutingFileError` with the line of each fault."""
    marked = read_yaml(text, source)
    if not isinstance(marked.data, dict):
        raise RoutingFileError(source, [Fault(1, "it must be a table with cases:")])
    try:
        return ExpectationsFile.model_validate(marked.data), marked
    except ValidationError as error:
        raise RoutingFileError(source, faults_of(error, marked, ExpectationsFile)) from None


def run_case(case: CaseGroup, line: int, policy: RoutingPolicy, pools: Sequence[Pool], usual: Clearance) -> Outcome:
    """Decides a case. ``pools`` as configured; ``usual``: the class of tasks that name none."""
    wanted = case.request.wanted(policy, usual, root=case.name)
    well = Health(known=True)
    health = {pool.name: case.health[pool.name].health() if pool.name in case.health else well for pool in pools}
    choice = decide(wanted, policy.pools(pools), health, policy)
    return Outcome(case.name, line, tuple(_wrong(case.expect, choice)))


def _wrong(expect: ExpectGroup, choice: Choice) -> list[str]:
    went = None if choice.pool is None else choice.pool.name
    kind = None if choice.error is None else choice.error.type
    decided = f"+ pool {went}: {choice.reason}" if went is not None else f"+ refused {kind}: {choice.reason}"
    wrong = []
    if expect.pool is not None and went not in expect.pool:
        wrong += [f"- pool {' or '.join(expect.pool)}", decided]
    if expect.not_pool is not None and went in expect.not_pool:
        wrong += [f"- not pool {' nor '.join(expect.not_pool)}", decided]
    if expect.refused is not None and kind != expect.refused:
        wrong += [f"- refused {expect.refused}", decided]
    if expect.rules is not None and tuple(expect.rules) != choice.rules:
        wrong += [f"- rules {', '.join(expect.rules) or 'none'}", f"+ rules {', '.join(choice.rules) or 'none'}"]
    return wrong


def unknown_pools(file: ExpectationsFile, marked: Marked, pools: Sequence[Pool]) -> None:
    """Raises :class:`RoutingFileError` where a case names a pool that there is not: it could never hold, or always."""
    known = {pool.name for pool in pools}
    faults = []
    for number, case in enumerate(file.cases):
        named = [(("cases", number, "health", name), name) for name in case.health]
        named += [(("cases", number, "expect", "pool"), name) for name in case.expect.pool or ()]
        named += [(("cases", number, "expect", "not_pool"), name) for name in case.expect.not_pool or ()]
        words = f"there is {', '.join(sorted(known)) or 'none'}"
        faults += [
            Fault(marked.line(place), f"there is no pool {name!r}; {words}")
            for place, name in named
            if name not in known
        ]
    if faults:
        raise RoutingFileError(marked.source, faults)
