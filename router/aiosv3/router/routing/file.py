"""``routing.yaml``: what may stand in it, and the policy that it means.

Its JSON Schema is generated from the classes below; their fields are listed in ``docs/reference/routing-file.md``.
"""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aiosv3.router.routing.errors import Fault, RoutingFileError
from aiosv3.router.routing.marks import Marked, read_yaml

FILE_NAME: Final = "routing.yaml"
_MICROS: Final = 1_000_000

Class: TypeAlias = Literal["public", "internal", "confidential", "restricted"]
Term: TypeAlias = Literal["no_training", "zero_retention"]
Region: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
PoolName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=200)]
Part: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Factor: TypeAlias = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    """One name may stand without brackets."""
    return [value] if isinstance(value, str) else value


def _one_or_more(of: Any) -> Any:
    return BeforeValidator(_listed, json_schema_input_type=of | Annotated[list[of], Field(min_length=1)])


Names: TypeAlias = Annotated[list[Name], Field(min_length=1), _one_or_more(Name)]
PoolNames: TypeAlias = Annotated[list[PoolName], Field(min_length=1), _one_or_more(PoolName)]
Classes: TypeAlias = Annotated[list[Class], Field(min_length=1), _one_or_more(Class)]
Regions: TypeAlias = Annotated[list[Region], _one_or_more(Region)]
Terms: TypeAlias = Annotated[list[Term], _one_or_more(Term)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DemandGroup(_Group):
    """What a class of data asks of a pool, beside its clearance. A higher class asks it too."""

    regions: Annotated[Regions, Field(description="Where it may be worked on, any of these; none: anywhere.")] = []
    terms: Annotated[Terms, Field(description="What the provider must promise.")] = []


class ClassesGroup(_Group):
    """What each class of data asks."""

    public: DemandGroup = DemandGroup()
    internal: DemandGroup = DemandGroup()
    confidential: DemandGroup = DemandGroup()
    restricted: DemandGroup = DemandGroup()


class TenantGroup(_Group):
    """One tenant: what its data ask, and what its tasks have that say nothing of it."""

    default_class: Annotated[
        Class | None, Field(description="The class of its tasks that name none; none: [mesh] clearance.")
    ] = None
    regions: Annotated[Regions, Field(description="Where its data may be worked on; none: anywhere.")] = []
    terms: Annotated[Terms, Field(description="What the provider must promise.")] = []
    weight: Annotated[
        float, Field(gt=0, le=1000, allow_inf_nan=False, description="Its part of a pool that is full.")
    ] = 1.0


class PoolGroup(_Group):
    """What the policy says of a pool of aiosv3.toml. It can lower the pool's clearance, never raise it."""

    region: Annotated[Region | None, Field(description="Where it is, if its settings do not say so.")] = None
    data_terms: Annotated[Terms, Field(description="What its provider promises, beside what its settings say.")] = []
    clearance: Annotated[Class | None, Field(description="The highest class that goes there from now on.")] = None
    quality: Annotated[Part | None, Field(description="In place of its settings' quality.")] = None
    enabled: Annotated[bool, Field(description="false: nothing new goes there.")] = True


class WeightsGroup(_Group):
    """How much each part of the score counts."""

    quality: Annotated[Factor, Field(description="Good enough for the complexity.")] = 0.55
    cost: Annotated[Factor, Field(description="Cheap.")] = 0.25
    load: Annotated[Factor, Field(description="Free.")] = 0.1
    latency: Annotated[Factor, Field(description="Within the latency target.")] = 0.1
    sticky: Annotated[Factor, Field(description="The pool that the conversation is with.")] = 0.05


class MatchGroup(_Group):
    """Whom a rule is for. All that is named has to fit; of a list, one. Nothing named: everybody."""

    agent: Annotated[Names | None, Field(description="The agent that asks.")] = None
    workflow: Annotated[Names | None, Field(description="The agent of the task at the root of the tree.")] = None
    type: Annotated[Names | None, Field(description="The event type (ce_type) of the root task.")] = None
    tenant: Annotated[Names | None, Field(description="Whose task it is.")] = None
    label: Annotated[Names | None, Field(description="The header ce_routing of the root task.")] = None
    data_class: Annotated[Classes | None, Field(description="The class of the data.")] = None
    complexity: Annotated[
        list[Part] | None,
        Field(min_length=2, max_length=2, description="[least, most], 0 to 1; 'auto' counts as 0.5."),
    ] = None

    @model_validator(mode="after")
    def _in_order(self) -> MatchGroup:
        if self.complexity is not None and self.complexity[0] > self.complexity[1]:
            raise ValueError("complexity: write the smaller number first")
        return self


class ShareGroup(_Group):
    """A part of the trees that a rule matches, drawn by the id of the root task: always the same trees."""

    name: Annotated[Name, Field(description="As decisions name it.")]
    percent: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, description="Of all trees that match.")]
    pools: Annotated[PoolNames, Field(description="Where they go while one of these can take the request.")]


class RuleGroup(_Group):
    """A rule. Every rule that matches applies, in order: what narrows adds up, of values the last one counts."""

    name: Annotated[Name, Field(description="As decisions name it.")]
    match: Annotated[MatchGroup, Field(description="Whom it is for.")] = MatchGroup()
    pools: Annotated[PoolNames | None, Field(description="Only these pools.")] = None
    models: Annotated[Names | None, Field(description="Only these models.")] = None
    not_pools: Annotated[PoolNames | None, Field(description="None of these pools.")] = None
    not_models: Annotated[Names | None, Field(description="None of these models.")] = None
    weights: Annotated[WeightsGroup | None, Field(description="In place of the file's weights.")] = None
    max_usd: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False, description="The most that one call may cost, in US dollars.")
    ] = None
    latency_ms: Annotated[
        int | None, Field(ge=1, description="Target: 95 of 100 calls answered within so many milliseconds.")
    ] = None
    shares: Annotated[list[ShareGroup], Field(description="Canary and A/B: parts of the trees by percent.")] = []
    last: Annotated[bool, Field(description="true: no rule after it is asked where it matches.")] = False

    @model_validator(mode="after")
    def _parts_of_a_whole(self) -> RuleGroup:
        total = sum(share.percent for share in self.shares)
        if total > 100:
            raise ValueError(f"its shares add up to {total:g} percent")
        names = [share.name for share in self.shares]
        if len(set(names)) < len(names):
            raise ValueError("two of its shares have the same name")
        return self


class RoutingFile(_Group):
    """A routing policy as a file. Everything in it may be left out."""

    version: Annotated[Literal[1], Field(description="Of this format.")] = 1
    classes: Annotated[ClassesGroup, Field(description="What each class of data asks of a pool.")] = ClassesGroup()
    tenants: Annotated[dict[Name, TenantGroup], Field(description="By name.")] = {}
    pools: Annotated[dict[PoolName, PoolGroup], Field(description="By name, as in aiosv3.toml.")] = {}
    weights: Annotated[WeightsGroup, Field(description="Of the score.")] = WeightsGroup()
    rules: Annotated[list[RuleGroup], Field(description="Asked in this order.")] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> RoutingFile:
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules have the name {twice[0]!r}: decisions could not say which one it was")
        return self

    def canonical(self) -> str:
        """As JSON text: everything that is meant, defaults too, keys sorted. Comments and layout do not count."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def version_of(content: str) -> str:
    """The name of a content: the first 16 characters of its SHA-256."""
    return sha256(content.encode()).hexdigest()[:16]


def micros(usd: float) -> int:
    """US dollars as written, in millionths, rounded down: a limit is never more than what was written."""
    return int(Decimal(str(usd)) * _MICROS)


def parse_routing(text: str, source: str = FILE_NAME) -> tuple[RoutingFile, Marked]:
    """The file and its lines. Raises :class:`RoutingFileError` with the line of each fault."""
    marked = read_yaml(text, source)
    if not isinstance(marked.data, dict):
        raise RoutingFileError(
            source, [Fault(1, "it must be a table: start with rules:, classes:, tenants: or pools:")]
        )
    try:
        return RoutingFile.model_validate(marked.data), marked
    except ValidationError as error:
        raise RoutingFileError(source, faults_of(error, marked, RoutingFile)) from None


def faults_of(error: ValidationError, marked: Marked, root: type[BaseModel]) -> list[Fault]:
    """Each fault with its line: its place, what it is, what would be right."""
    faults = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        place = tuple(found["loc"])
        words = str(found["msg"]).removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            words = f"there is no such key{_known(root, place[:-1])}"
        elif found["type"] == "string_type":
            words = f"{words}; what YAML reads as something else (no, on, 1.0) needs quotes"
        where = ".".join(str(part) for part in place)
        faults.append(Fault(marked.line(place), f"{where}: {words}" if where else words))
    return faults


def _known(root: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """The keys that there are at a place."""
    schema = root.model_json_schema()
    node: Any = schema
    for part in place:
        node = _inner(_resolved(node, schema), part)
        if node is None:
            return ""
    names = sorted(_resolved(node, schema).get("properties", {}))
    return f"; there are {', '.join(names)}" if names else ""


def _inner(node: dict[str, Any], part: int | str) -> Any:
    if isinstance(part, int):
        return node.get("items")
    named = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    return node.get("properties", {}).get(part, named)


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for branch in node.get("anyOf", ()):
        if branch.get("type") != "null":
            node = branch
            break
    reference = node.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else node
