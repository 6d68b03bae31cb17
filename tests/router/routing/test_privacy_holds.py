"""No sequence of failures, overrides, reloads, replays or duplicates sends a prompt below its class.

The rules are spelled out here a second time, from the file's own words, and asked at the moment an endpoint is called.
One of the routers chooses at random: what it gets wrong, the model worker stops.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.router.breaker import BreakerPolicy
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import ContextTooLong, EndpointError, Overloaded, ServerFault, StreamCut
from aiosv3.router.guard import GuardPolicy
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.file import RoutingFile
from aiosv3.router.routing.versions import policy_of, routing_version
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Completion, Decision, DecisionOutcome, Message, ModelRequest, Outcome, Prompt, Role
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Outgoing, Record

NOW = 1_750_000_000_000
LABELS = ["public", "internal", "confidential", "restricted"]
REGIONS = ["eu", "eu-west", "us"]
TERMS = ["no_training", "zero_retention"]
POOLS = ["a", "b", "c"]
CODEC = Codec(SchemaStore())
ANSWERED = Completed("hi", None, "stop", 10, 5, 0, "req-1", 3)
FAULTS = [Overloaded, ServerFault, StreamCut, ContextTooLong]

terms = st.lists(st.sampled_from(TERMS), unique=True, max_size=2)
regions = st.lists(st.sampled_from(REGIONS), unique=True, max_size=2)
demands = st.fixed_dictionaries({}, optional={"regions": regions, "terms": terms})
some_pools = st.lists(st.sampled_from(POOLS), min_size=1, max_size=3, unique=True)
rules = st.fixed_dictionaries(
    {"name": st.just("rule")},
    optional={
        "pools": some_pools,
        "not_pools": some_pools,
        "max_usd": st.just(1.0),
        "weights": st.just({"quality": 0.0, "cost": 1.0}),
        "shares": some_pools.map(lambda names: [{"name": "canary", "percent": 60, "pools": names}]),
    },
)
files = st.fixed_dictionaries(
    {},
    optional={
        "classes": st.fixed_dictionaries({}, optional=dict.fromkeys(LABELS, demands)),
        "tenants": st.dictionaries(st.just("acme"), demands, max_size=1),
        "pools": st.dictionaries(
            st.sampled_from(POOLS),
            st.fixed_dictionaries(
                {},
                optional={
                    "region": st.sampled_from(REGIONS),
                    "data_terms": terms,
                    "clearance": st.sampled_from(LABELS),
                    "enabled": st.booleans(),
                },
            ),
            max_size=2,
        ),
        "rules": rules.map(lambda rule: [rule]),
    },
)
pools = st.tuples(
    *(
        st.builds(
            Pool,
            name=st.just(name),
            kind=st.just("openai"),
            model=st.just("m"),
            clearance=st.sampled_from([*Clearance, *[Clearance.RESTRICTED] * 4]),
            price=st.just(Price(1, 1)),
            context_window=st.sampled_from([100, 1_000]),
            region=st.sampled_from(["", *REGIONS]),
            data_terms=terms.map(frozenset),
        )
        for name in POOLS
    )
)
grants = st.builds(
    Grant,
    tenant=st.sampled_from(["acme", "other"]),
    root=st.sampled_from(["r1", "r2", "r3"]),
    clearance=st.sampled_from(Clearance),
    regions=regions.map(tuple),
    terms=terms.map(tuple),
)
sends = st.tuples(
    st.just("send"),
    grants,
    st.none() | st.sampled_from(POOLS),
    st.sampled_from(["honest", "random"]),
    st.lists(st.sampled_from([None, *FAULTS]), max_size=8),
    st.integers(0, 2**32),
)
steps = st.one_of(
    sends,
    sends,
    st.tuples(st.just("reload"), files),
    st.tuples(st.just("reload router only"), files),
    st.tuples(st.just("again"), st.integers(0, 20), st.none() | st.sampled_from(Clearance)),
)


def allowed(file: dict[str, Any], grant: Grant, pool: Pool) -> bool:
    """The rules once more: as the page says them, not as the code does."""
    added = file.get("pools", {}).get(pool.name, {})
    level = LABELS.index(grant.clearance.label)
    if level > min(LABELS.index(pool.clearance.label), LABELS.index(added.get("clearance", "restricted"))):
        return False
    place = pool.region or added.get("region", "")
    promised = set(pool.data_terms) | set(added.get("data_terms", []))
    asked = [file.get("classes", {}).get(label, {}) for label in LABELS[: level + 1]]
    asked.append(file.get("tenants", {}).get(grant.tenant, {}))
    asked.append({"regions": list(grant.regions), "terms": list(grant.terms)})
    for one in asked:
        wanted = one.get("regions", [])
        if wanted and not any(place == region or place.startswith(region + "-") for region in wanted):
            return False
        if not set(one.get("terms", [])) <= promised:
            return False
    return True


@dataclass
class Watched:
    """An endpoint that notes what it is given, and fails as it is told."""

    world: World
    pool: Pool

    async def complete(self, call: Call) -> Completed:
        assert call.prompt.messages
        grant = self.world.grant
        assert grant is not None
        assert allowed(self.world.in_force, grant, self.pool), f"{grant} reached {self.pool}"
        self.world.calls += 1
        fault = self.world.faults.pop(0) if self.world.faults else None
        if fault is not None:
            raise fault("as told")
        return ANSWERED

    async def probe(self) -> Probed:
        return Probed(("m",), 1)

    async def aclose(self) -> None:
        return None


@dataclass
class World:
    pools: tuple[Pool, ...]
    in_force: dict[str, Any] = field(default_factory=dict)
    """At the workers."""
    grant: Grant | None = None
    faults: list[type[EndpointError] | None] = field(default_factory=list)
    calls: int = 0
    sent: list[tuple[Record, Outgoing]] = field(default_factory=list)
    """Requests as they stood on ``prompts``, with the decisions on them."""

    def __post_init__(self) -> None:
        self.routing, self.working = PolicyBook(), PolicyBook()
        self.router = Router(Topics(), CODEC, self.pools, PoolTable(), lambda: NOW, policies=self.routing)
        policy = WorkerPolicy(retries=0, backoff=0.0, guard=GuardPolicy(BreakerPolicy(failures=10_000)))
        self.workers = {
            pool.name: ModelWorker(
                pool, Watched(self, pool), Topics(), CODEC.store, CODEC, lambda: NOW, policy, policies=self.working
            )
            for pool in self.pools
        }

    def reload(self, content: dict[str, Any], *, workers: bool) -> None:
        version = routing_version(RoutingFile.model_validate(content), NOW)
        self.routing.apply(version)
        if workers:
            self.working.apply(version)
            self.in_force = content

    async def send(self, record: Record, kind: str, draw: random.Random) -> None:
        """One request until it is answered, refused or failed for good."""
        for _ in range(20):
            request = self.router.read(record)
            assert isinstance(request, Request)
            decided = self.router.work(request, 5)
            assert isinstance(decided, Outgoing)
            if kind == "random":
                decided = _anywhere(decided, draw)
            self.sent.append((record, decided))
            onward = self._forwarded(request, decided, blind=kind == "random")
            following = None if onward is None else await self._work(onward)
            if following is None:
                return
            record = following

    def _forwarded(self, request: Request, decided: Outgoing, *, blind: bool) -> Outgoing | None:
        if not blind:
            onward = self.router.forward(request, decided)
            return onward if onward is not None and onward.topic.startswith("aios.prompts.") else None
        pool = CODEC.decode_as(Decision, decided.value or b"").pool
        record = request.record
        return Outgoing(f"aios.prompts.{pool}", None, b"k", record.value, record.headers)

    async def _work(self, onward: Outgoing) -> Record | None:
        worker = self.workers[onward.topic.rpartition(".")[2]]
        request = worker.read(Record(onward.topic, 0, 1, NOW, onward.key, onward.value, onward.headers))
        assert isinstance(request, Request)
        self.grant = request.body[0].grant
        answer = worker.work(request, 3)
        if not isinstance(answer, Outgoing):
            answer = await answer
        if CODEC.decode_as(Completion, answer.value or b"").outcome is not Outcome.REFUSED:
            return None
        following = worker.forward(request, answer)
        assert following is not None
        return Record(following.topic, 0, 2, NOW, following.key, following.value, following.headers)

    async def again(self, number: int, higher: Clearance | None) -> None:
        """A copy of a request that was decided: the same, or of a higher class, goes by the decision there is."""
        if not self.sent:
            return
        record, decided = self.sent[number % len(self.sent)]
        if higher is not None:
            grant = Grant.decode(record.header(GRANT) or b"")
            grant = replace(grant, clearance=max(grant.clearance, higher))
            record = record._replace(
                headers=[(name, grant.encode() if name == GRANT else value) for name, value in record.headers]
            )
        request = self.router.read(record)
        assert isinstance(request, Request)
        onward = self._forwarded(request, decided, blind=False)
        if onward is not None:
            await self._work(onward)


def _anywhere(decided: Outgoing, draw: random.Random) -> Outgoing:
    decision = CODEC.decode_as(Decision, decided.value or b"")
    wrong = replace(decision, pool=draw.choice(POOLS), model="m", outcome=DecisionOutcome.ROUTED, error=None)
    return decided._replace(value=CODEC.encode(wrong))


def _request(grant: Grant, pin: str | None, number: int) -> Record:
    request_id = f"task-{number}/1"
    prompt = Prompt((Message(Role.USER, "hello"),), None, 10)
    body = ModelRequest(request_id, grant.root, "task", "1", "agent", prompt)
    headers = [
        ("ce_id", request_id.encode()),
        (GRANT, grant.encode()),
        (ROUTE, Route("agent", 0.2, 10, 10, first_sent=NOW, hash="h", pool=pin).encode()),
        (REPLY, Reply("aios.journal.agent", 0, 7, "task", "1", "tok").encode()),
    ]
    return Record("aios.prompts", 0, number, NOW, b"k", CODEC.encode(body), headers)


async def _run(given_pools: tuple[Pool, ...], taken: list[Any]) -> World:
    world = World(given_pools)
    for number, step in enumerate(taken):
        if step[0] == "send":
            _, grant, pin, kind, faults, seed = step
            world.faults = list(faults)
            await world.send(_request(grant, pin, number), kind, random.Random(seed))
        elif step[0] == "again":
            await world.again(step[1], step[2])
        else:
            world.reload(step[1], workers=step[0] == "reload")
    return world


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pools, files, st.lists(steps, min_size=3, max_size=12))
def test_no_sequence_sends_a_prompt_below_its_class(
    given_pools: tuple[Pool, ...], first: dict[str, Any], taken: list[Any]
) -> None:
    asyncio.run(_run(given_pools, [("reload", first), *taken]))


@settings(max_examples=600, deadline=None)
@given(files, grants, pools)
def test_the_rules_are_what_the_page_says(file: dict[str, Any], grant: Grant, given_pools: tuple[Pool, ...]) -> None:
    """Not stricter either: what nothing speaks against may go."""
    policy = policy_of(routing_version(RoutingFile.model_validate(file), NOW))
    for pool in given_pools:
        assert (policy.denied(grant, pool) is None) == allowed(file, grant, pool)


async def test_the_run_reaches_endpoints_at_all() -> None:
    """A property that nothing exercises would hold, too."""
    free = tuple(Pool(name, "openai", "m", Clearance.RESTRICTED, Price(1, 1)) for name in POOLS)
    send: Any = ("send", Grant("acme", "r1", Clearance.RESTRICTED), None, "random", [ServerFault], 1)
    world = await _run(free, [send, ("again", 0, None)])
    assert world.calls == 3


async def test_a_router_that_chooses_at_random_is_stopped_by_the_worker() -> None:
    closed = tuple(Pool(name, "openai", "m", Clearance.RESTRICTED, Price(1, 1), region="us") for name in POOLS)
    send: Any = ("send", Grant("acme", "r1", Clearance.CONFIDENTIAL), None, "random", [], 1)
    world = await _run(closed, [("reload", {"classes": {"confidential": {"regions": ["eu"]}}}), send])
    assert world.calls == 0
