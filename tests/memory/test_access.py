"""Who may see what: by the headers alone, whatever a body says, and never across tenants."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.memory.access import OPERATOR, Asker, asker_of, is_scope, readable, refusal, scope_in, view_scope
from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.memory import MemoryAction, MemoryQuery, memory_id_of, place_of, quarantine_id_of, subject_of

SECRET = b"secret"
TEAMS = {"support": ["triage", "crm"], "sales": ["crm"]}
HOSTILE = st.sampled_from(
    [
        "tenant",
        "tenant@restricted",
        "agent:crm",
        "agent:triage",
        "agent:*",
        "team:support",
        "team:sales",
        "team:../sales",
        "agent:triage\0",
        "agent:triage ",
        "AGENT:triage",
        "",
        "*",
        "agent:",
        "team:",
        "' or 1=1 --",
        "agent:@operator",
    ]
) | st.text(max_size=12)
CLASSES = st.sampled_from(list(Clearance))


def asker(agent: str | None, clearance: Clearance = Clearance.INTERNAL, tenant: str = "acme") -> Asker:
    return asker_of(Grant(tenant, "root", clearance), Route(agent, "auto", 0, 0), TEAMS)


def test_an_agent_has_its_own_scope_its_teams_and_the_tenants() -> None:
    assert asker("triage").scopes == frozenset({"tenant", "agent:triage", "team:support"})
    assert asker("crm").scopes == frozenset({"tenant", "agent:crm", "team:support", "team:sales"})
    assert asker(OPERATOR).scopes is None


@pytest.mark.parametrize("agent", [None, "", "@operator ", "tri age", "*", "operator@"])
def test_who_is_no_agent_is_nobody(agent: str | None) -> None:
    with pytest.raises(MalformedHeader, match="comes from an agent"):
        asker(agent)


@given(HOSTILE, CLASSES)
def test_a_search_stays_within_the_askers_scopes_and_class(scope: str, clearance: Clearance) -> None:
    """Whatever scope a body names: what it adds to is nothing."""
    mine = asker("triage", clearance)
    for word in readable(mine, scope):
        assert scope_in(word) in {"tenant", "agent:triage", "team:support"}
        assert Clearance.parse(word.partition("@")[2]) <= clearance
    words = {view_scope(one, level) for one in mine.scopes or () for level in Clearance if level <= clearance}
    assert set(readable(mine, None)) == words


@given(HOSTILE, st.sampled_from(["acme", "other"]), st.text(max_size=8), HOSTILE)
def test_nothing_can_be_written_into_a_place_of_somebody_else(scope: str, tenant: str, text: str, other: str) -> None:
    """The ids and the place are those of another tenant, or of another scope: refused, all of them."""
    mine = asker("triage", tenant="acme")
    place = place_of(SECRET, tenant, other, None)
    memory_id = memory_id_of(SECRET, tenant, place, other, "fact", text)
    query = MemoryQuery(
        "", "", "", "", "", MemoryAction.REMEMBER, place, memory_id, scope, None, "fact", content=text or "x"
    )
    allowed = tenant == "acme" and scope == other and scope in (mine.scopes or ())
    assert (refusal(query, mine, SECRET) is None) is allowed


@given(st.text(max_size=44), st.text(max_size=20))
def test_what_is_forgotten_by_id_is_an_id_at_its_own_place(memory_id: str, place: str) -> None:
    query = MemoryQuery("", "", "", "", "", MemoryAction.FORGET, place, memory_id)
    assert refusal(query, asker("triage"), SECRET) is not None


def test_a_subject_is_forgotten_within_the_askers_tenant() -> None:
    for tenant, allowed in (("acme", True), ("other", False)):
        about = subject_of(SECRET, tenant, "ada")
        query = MemoryQuery(
            "", "", "", "", "", MemoryAction.FORGET, place_of(SECRET, tenant, "tenant", about), subject=about
        )
        assert (refusal(query, asker("triage"), SECRET) is None) is allowed
        assert refusal(replace(query, memory_id="0" * 40), asker("triage"), SECRET) is not None


def test_the_operator_reads_all_scopes_that_there_are_and_confirms() -> None:
    everything = readable(asker(OPERATOR, Clearance.PUBLIC), None, ["agent:crm", "team:x", "nonsense"])
    assert everything == ["agent:crm@public", "team:x@public"]
    place = place_of(SECRET, "acme", "agent:crm", None)
    memory_id = memory_id_of(SECRET, "acme", place, "agent:crm", "fact", "x")
    query = MemoryQuery(
        "", "", "", "", "", MemoryAction.REMEMBER, place, memory_id, "agent:crm", None, "fact", trust=2, content="x"
    )
    assert refusal(query, asker(OPERATOR), SECRET) is None
    assert refusal(query, asker("crm"), SECRET) is not None


def test_what_a_scope_is() -> None:
    assert all(is_scope(scope) for scope in ("tenant", "team:a", "agent:a-1"))
    assert not any(is_scope(scope) for scope in ("", "team:", "agent:A", "user:a", "tenant:a", "agent:a@public"))


@pytest.mark.parametrize("action", [MemoryAction.QUARANTINE, MemoryAction.RELEASE, MemoryAction.EXPIRE])
def test_only_an_operator_ends_and_distrusts(action: MemoryAction) -> None:
    named = quarantine_id_of(SECRET, "acme", "doc", None)
    query = MemoryQuery("", "", "", "", "", action, named[:16], named, source="doc")
    assert refusal(query, asker(OPERATOR), SECRET) is None
    denied = refusal(query, asker("triage"), SECRET)
    assert denied is not None
    assert "only an operator" in denied.message
    if action is not MemoryAction.EXPIRE:
        for wrong in (
            replace(query, source=None),
            replace(query, from_task="t"),
            replace(query, source="another"),
            replace(query, source=""),
        ):
            assert refusal(wrong, asker(OPERATOR), SECRET) is not None
        assert refusal(query, asker(OPERATOR, tenant="other"), SECRET) is not None
