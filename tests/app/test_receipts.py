"""How what is forgotten ends in each topic and store, and by when."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aiosv3.app.receipts import StoreEnd, Target, date, gone_by, store_ends
from aiosv3.app.settings import Settings
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka.overview import Overview

HOUR = 3_600_000
NOW = 1_750_000_000_000
SUBJECT = Target(whole=True, sealed="internal", plain=0)
TOPICS = Topics()
NAMES = (
    *(TOPICS.tasks("desk"), TOPICS.journal("desk"), TOPICS.results("desk"), TOPICS.state("desk")),
    *(TOPICS.prompts(), TOPICS.decisions(), TOPICS.router_journal(), TOPICS.pool_prompts("small")),
    *(TOPICS.completions("small"), TOPICS.tools("web"), TOPICS.tool_results("web"), TOPICS.pools(), TOPICS.agents()),
    *(TOPICS.approvals(), TOPICS.policies(), TOPICS.ledger(), TOPICS.keys(), TOPICS.deltas(), TOPICS.dead_letters()),
    *(TOPICS.memory_queries(), TOPICS.memory_events(), TOPICS.memory_state()),
)
KEPT = {"cleanup.policy": "delete", "retention.ms": str(5 * HOUR), "segment.ms": str(HOUR)}
FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": str(HOUR)}
COMPACT = {
    "cleanup.policy": "compact",
    "retention.ms": str(HOUR),
    "segment.ms": str(HOUR),
    "max.compaction.lag.ms": "60000",
}


class Cluster:
    """All topics that a mesh can have, one record in each."""

    empty = ("aios.deltas",)

    async def topics(self, prefix: str) -> dict[str, int]:
        return dict.fromkeys([*NAMES, f"{prefix}somebodys"], 1)

    async def configs(self, names: Any) -> dict[str, dict[str, str]]:
        return {name: self.config(name.removeprefix("aios.")) for name in names}

    async def newest(self, counts: Any) -> dict[str, int]:
        return {name: NOW for name in counts if name not in self.empty}

    @staticmethod
    def config(name: str) -> dict[str, str]:
        kind = name.partition(".")[0]
        if kind == "journal" or name == "memory.events":
            return FOR_EVER
        return COMPACT if kind in {"state", "approvals", "keys"} or name == "memory.state" else KEPT


async def ends(target: Target, **settings: Any) -> dict[str, StoreEnd]:
    given = Settings.model_validate({"kafka": {"bootstrap": "somewhere"}, **settings})
    found = await store_ends(cast("Overview", Cluster()), given, TOPICS, target)
    return {one.store.removeprefix("aios."): one for one in found}


def test_a_record_is_gone_when_the_last_of_its_segment_is() -> None:
    assert gone_by(NOW, KEPT) == NOW + 6 * HOUR + 6 * 60_000
    assert gone_by(NOW, FOR_EVER) is None
    assert gone_by(NOW, COMPACT) is None
    assert gone_by(NOW, {}) is None
    assert gone_by(NOW, {**KEPT, "retention.ms": str(2**63 - 1)}) is None


async def test_every_topic_and_store_is_named() -> None:
    found = await ends(SUBJECT)
    assert {name.removeprefix("aios.") for name in NAMES} <= found.keys()
    assert "somebodys" not in found
    assert {one.kind for one in found.values()} >= {"view", "claims", "hot", "outside"}
    assert all(one.why for one in found.values())


async def test_what_is_sealed_is_gone_with_its_keys() -> None:
    found = await ends(SUBJECT)
    work = "journal.desk results.desk state.desk prompts prompts.small completions.small tools.web tool-results.web"
    sealed = {*work.split(), "approvals", "memory.queries", "memory.events", "keys"}
    assert {name for name in sealed if found[name].how != "shredded"} == set()
    assert found["results.desk"].by == NOW + 6 * HOUR + 6 * 60_000
    assert (found["journal.desk"].by, "its owner deletes it" in found["journal.desk"].why) == (None, True)
    assert (found["tasks.desk"].how, found["dead-letters"].how) == ("retention", "retention")
    assert {found[name].how for name in ("decisions", "pools", "ledger", "journal.router", "deltas")} == {"nothing"}
    assert (found["memory.state"].how, found["memory views"].how) == ("tombstone", "purged")


@pytest.mark.parametrize(
    ("target", "hows"),
    [
        (Target(whole=True, sealed=None, plain=3), {"memory.events": "not reached", "prompts": "retention"}),
        (Target(whole=True, sealed=None, plain=0), {"memory.events": "nothing", "approvals": "not reached"}),
        (Target(whole=True, sealed="internal", plain=1), {"memory.events": "not reached", "prompts": "shredded"}),
        (Target(whole=False, sealed="internal", plain=0), {"memory.events": "not reached", "keys": "nothing"}),
        (Target(whole=False, sealed=None, plain=1), {"journal.desk": "not reached", "memory.state": "tombstone"}),
    ],
)
async def test_what_is_not_sealed_is_said(target: Target, hows: dict[str, str]) -> None:
    found = await ends(target)
    assert {name: found[name].how for name in hows} == hows
    assert found["tasks.desk"].by == NOW + 6 * HOUR + 6 * 60_000


async def test_a_shared_view_and_a_key_file_are_named() -> None:
    found = await ends(SUBJECT, memory={"view": "weaviate"}, sealing={"keys": "file:data.keys"})
    assert found["Weaviate at http://127.0.0.1:8080, Aiosv3Memory"].how == "purged"
    assert found["data.keys"].how == "shredded"


def test_dates_are_said_twice() -> None:
    assert date(NOW) == "2025-06-15T15:06:40Z"
    told = StoreEnd("s", "k", "retention", NOW, "w").to_json()
    assert (told["by"], told["by_date"]) == (NOW, "2025-06-15T15:06:40Z")
    assert StoreEnd("s", "k", "nothing", None, "w").to_json()["by_date"] is None
