from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.schemas.topics import BadName, TaskHandle, Topics


def test_names() -> None:
    topics = Topics()
    assert [topics.tasks("triage"), topics.journal("triage"), topics.results("triage")] == [
        "aios.tasks.triage",
        "aios.journal.triage",
        "aios.results.triage",
    ]
    assert [topics.prompts(), topics.pool_prompts("local"), topics.completions("local")] == [
        "aios.prompts",
        "aios.prompts.local",
        "aios.completions.local",
    ]
    assert [topics.decisions(), topics.router_journal(), topics.ledger()] == [
        "aios.decisions",
        "aios.journal.router",
        "aios.ledger",
    ]
    assert Topics("").pools() == "pools"
    assert Topics("x.").agents() == "x.agents"
    assert [topics.tools("office"), topics.tool_results("office")] == ["aios.tools.office", "aios.tool-results.office"]
    assert [topics.dead_letters(), topics.approvals(), topics.deltas()] == [
        "aios.dead-letters",
        "aios.approvals",
        "aios.deltas",
    ]
    assert topics.subject(topics.tasks("triage")) == "aios.tasks.triage-value"


@pytest.mark.parametrize("name", ["", "-a", "A", "a.b", "a_b", "ä", "a b", "a\n", "a" * 250, "router"])
def test_bad_agent_names(name: str) -> None:
    for topic in (Topics().tasks, Topics().journal, Topics().results):
        with pytest.raises(BadName, match=r"router|agent name|topic"):
            topic(name)


def test_a_bad_prefix() -> None:
    with pytest.raises(BadName, match="prefix"):
        Topics("a b")


@given(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True).filter(lambda name: name != "router"),
    st.integers(0, 2**31 - 1),
    st.text(min_size=1),
)
def test_a_handle_survives_its_text(agent: str, partition: int, task_id: str) -> None:
    handle = TaskHandle(agent, partition, task_id)
    assert TaskHandle.parse(str(handle)) == handle


@pytest.mark.parametrize(
    "text", ["", "a", "a:1", "a:1:", "a:x:t", "A:1:t", "a:-1:t", "a:²:t", ":1:t", "a:99999999999:t"]
)
def test_what_is_no_handle(text: str) -> None:
    with pytest.raises(BadName):
        TaskHandle.parse(text)
