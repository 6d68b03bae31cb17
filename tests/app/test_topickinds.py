from __future__ import annotations

import pytest

from aiosv3.app.settings import Settings
from aiosv3.app.topickinds import kind_of
from aiosv3.app.topology import agent_topics, pool_topics, state_topic, zone_topics
from aiosv3.schemas.topics import Topics

TOPICS = Topics("p.")


def test_every_topic_that_workers_make_has_a_kind() -> None:
    settings = Settings()
    specs = [
        *agent_topics(settings, TOPICS, "a"),
        *pool_topics(settings, TOPICS, "b"),
        *zone_topics(settings, TOPICS, "c"),
        state_topic(settings, TOPICS, "a"),
    ]
    assert [spec.name for spec in specs if kind_of(TOPICS, spec.name) is None] == []


@pytest.mark.parametrize(
    ("name", "kind", "owner"),
    [
        ("p.tasks.desk", "tasks", "desk"),
        ("p.prompts", "prompts", None),
        ("p.prompts.small", "prompts", "small"),
        ("p.tool-results.office", "tool-results", "office"),
        ("p.journal.router", "journal", "router"),
    ],
)
def test_names_tell_kind_and_owner(name: str, kind: str, owner: str | None) -> None:
    found = kind_of(TOPICS, name)
    assert found is not None
    assert (found.name, found.owner) == (kind, owner)


@pytest.mark.parametrize("name", ["q.tasks.desk", "p.notes", "p.tasks", "p.tasks.", "p.notes.x"])
def test_names_of_others_mean_nothing(name: str) -> None:
    assert kind_of(TOPICS, name) is None


def test_the_routers_journal_is_no_agents() -> None:
    found = kind_of(TOPICS, "p.journal.router")
    assert found is not None
    assert "routers" in found.carries
