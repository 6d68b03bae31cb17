"""Topics: counts that must agree, and retention that must outlive what it answers (protocol section 9, rule 11)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import agent_topics, base_topics, mesh_topics, pool_topics, state_topic
from aiosv3.schemas.released import load_lock
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import TopicSpec

TOPICS = Topics("t.")
SETTINGS = Settings(kafka=KafkaSettings(partitions=5))


def named(specs: Iterable[TopicSpec]) -> dict[str, TopicSpec]:
    found: dict[str, TopicSpec] = {}
    for spec in specs:
        assert found.setdefault(spec.name, spec) == spec, f"{spec.name} is wanted in two ways"
    return found


ALL = named(
    [
        *base_topics(SETTINGS, TOPICS),
        *agent_topics(SETTINGS, TOPICS, "a"),
        state_topic(SETTINGS, TOPICS, "a"),
        *pool_topics(SETTINGS, TOPICS, "p"),
    ]
)


def retention(topic: str) -> int:
    return int(ALL[topic].settings()["retention.ms"])


def test_approvals_are_compacted_and_have_as_many_partitions_as_desks_may_share() -> None:
    assert (ALL[TOPICS.approvals()].cleanup, ALL[TOPICS.approvals()].partitions) == ("compact", 5)


@pytest.mark.parametrize(
    "group",
    [
        [TOPICS.tasks("a"), TOPICS.journal("a"), TOPICS.results("a"), TOPICS.state("a")],
        [TOPICS.prompts(), TOPICS.decisions()],
        [TOPICS.pool_prompts("p"), TOPICS.completions("p")],
    ],
)
def test_topics_of_one_processor_have_equal_partition_counts(group: list[str]) -> None:
    assert {ALL[topic].partitions for topic in group} == {5}


@pytest.mark.parametrize(
    ("inputs", "own"),
    [
        (TOPICS.tasks("a"), TOPICS.results("a")),
        (TOPICS.prompts(), TOPICS.decisions()),
        (TOPICS.pool_prompts("p"), TOPICS.completions("p")),
    ],
)
def test_own_logs_are_kept_longer_than_their_inputs(inputs: str, own: str) -> None:
    assert retention(own) > retention(inputs) > 0


def test_journals_lose_nothing_by_age_or_size() -> None:
    settings = ALL[TOPICS.journal("a")].settings()
    assert (settings["retention.ms"], settings["retention.bytes"], settings["cleanup.policy"]) == ("-1", "-1", "delete")


@pytest.mark.parametrize("topic", [TOPICS.pools(), TOPICS.agents()])
def test_tables_are_compacted_on_one_partition(topic: str) -> None:
    assert (ALL[topic].settings()["cleanup.policy"], ALL[topic].partitions) == ("compact", 1)


def test_every_topic_has_the_brokers_time() -> None:
    """Rule 13: the broker's clock is the only one that all workers share."""
    assert {spec.settings()["message.timestamp.type"] for spec in ALL.values()} == {"LogAppendTime"}


def test_registered_records_are_released_ones() -> None:
    assert set(mesh_topics(TOPICS).values()) <= {release.name for release in load_lock()}
    assert set(mesh_topics(TOPICS)) <= set(ALL)


def test_a_state_is_compacted_but_a_day_late_so_that_its_owner_can_compare() -> None:
    settings = ALL[TOPICS.state("a")].settings()
    assert (settings["cleanup.policy"], settings["min.compaction.lag.ms"]) == ("compact", "86400000")
    assert settings["message.timestamp.type"] == "LogAppendTime", "the lag counts from the broker's time"


def test_what_is_only_shown_is_gone_within_minutes_also_where_a_segment_never_fills() -> None:
    spec = ALL[TOPICS.deltas()]
    assert (spec.cleanup, spec.partitions) == ("delete", SETTINGS.kafka.partitions)
    assert spec.settings()["retention.ms"] == spec.settings()["segment.ms"] == "600000"
