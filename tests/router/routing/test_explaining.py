from __future__ import annotations

import json

from aiosv3.router.policy import Wanted
from aiosv3.router.pools import Health, Pool
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.explaining import explained, recorded
from aiosv3.router.routing.file import parse_routing
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.records import Decision, DecisionOutcome

POOLS = [Pool("own", "vllm", "m", Clearance.RESTRICTED, region="eu"), Pool("cloud", "openai", "g", region="us")]
POLICY = compiled(parse_routing("classes: {public: {regions: [eu]}}\nrules: [{name: all, latency_ms: 100}]")[0])
WANTED = Wanted(Grant("t", "r", Clearance.PUBLIC), Route("a", 0.2, 10, 10), sticky="own")
HEALTH = {pool.name: Health(known=True) for pool in POOLS}


def test_the_parts_add_up_to_the_score() -> None:
    told, choice = explained(WANTED, POOLS, HEALTH, POLICY)
    assert choice.pool is not None
    assert told.parts is not None
    assert set(told.parts) == {"own"}
    assert round(sum(told.parts["own"].values()), 6) == choice.candidates[0].score
    assert told.parts["own"]["sticky"] == 0.05


def test_as_json() -> None:
    told, _ = explained(WANTED, POOLS, HEALTH, POLICY)
    said = json.loads(json.dumps(told.to_json()))
    assert (said["outcome"], said["pool"], said["rules"]) == ("routed", "own", ["all"])
    assert said["demand"] == {"regions": [["eu"]], "terms": []}
    assert [one["pool"] for one in said["candidates"]] == ["own", "cloud"]
    assert said["candidates"][1]["reason"].startswith("region")


def test_a_recorded_decision_says_what_it_recorded() -> None:
    _, choice = explained(WANTED, POOLS, HEALTH, POLICY)
    decision = Decision(
        *("t/1", "r", "t", 1, 7, 1, "h", 0, None, DecisionOutcome.ROUTED, "own", "m"),
        choice.reason,
        choice.candidates,
        choice.policy_version,
        "1",
        rules=choice.rules,
        sticky=choice.sticky,
    )
    said = recorded(decision).to_json()
    assert (said["pool"], said["rules"], said["sticky"], said["demand"]) == ("own", ["all"], "own", None)
